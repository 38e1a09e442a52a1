"""What the cluster's own list of jobs says of a model: on a job that is kept, which version it made.

A job is kept where ``--job-options`` say so; ``train`` wrote down which one it is. The record in the store is what
counts, so that nothing here fails a run.
"""

import logging

import msgspec

from colchis_steps._formats.models import Record
from colchis_steps._formats.runs import KeptJob, StepResult
from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests.objects import LABEL_MODEL, LABEL_VERSION
from colchis_steps._step.errors import StepError

log = logging.getLogger("colchis")


def annotations_of(record: Record) -> dict[str, str]:
    """Return what a job's annotations say of the version that it made."""
    return {
        LABEL_MODEL: record.model,
        LABEL_VERSION: str(record.version),
        "colchis.dev/digest": record.digest,
    }


def annotate_job(record: Record, trained: StepResult | None) -> None:
    """Annotate the job that ``trained`` names, if it names one; what hinders that is a warning."""
    told = trained.details.get("job") if trained else None
    if told is None:
        return
    job = msgspec.convert(told, KeptJob)
    what = f"{job.kind} {job.name}"
    try:
        cluster = Cluster(job.namespace, role="colchis-publish")
        if cluster.annotate(job.kind, job.name, job.uid, annotations_of(record)):
            log.info("%s says now that it made %s/%d", what, record.model, record.version)
        else:
            log.info("%s is gone already, so nothing on the cluster says what it made", what)
    except StepError as error:
        log.warning("%s/%d is on record, but %s does not say so: %s", record.model, record.version, what, error)
