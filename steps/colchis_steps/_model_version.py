"""The optional mirror of a record in the cluster, so that ``kubectl get modelversions`` lists models.

Written from a pod only: a run on a laptop has a kubeconfig, but its models are not the cluster's. The CRD is
workflows/manifests/crd/modelversions.yaml; the record in the store is what counts.
"""

import logging

from colchis_steps._formats import Record
from colchis_steps._kube import KINDS, MANAGED, NAMESPACE_FILE, Cluster, Object
from colchis_steps._step import InputError

KIND = "ModelVersion"
log = logging.getLogger("colchis")


def model_version(record: Record, place: str) -> Object:
    """Give the object of a record that lies at the URL ``place``."""
    labels = {"colchis.dev/model": record.model, "colchis.dev/version": str(record.version)}
    return {
        "apiVersion": KINDS[KIND][0],
        "kind": KIND,
        "metadata": {"name": f"{record.model}-{record.version}", "labels": MANAGED | labels},
        "spec": {
            "model": record.model,
            "version": record.version,
            "image": record.image,
            "digest": record.digest,
            "tree": record.tree,
            "data": record.data,
            "dataDigest": record.data_digest,
            "codeDigest": record.code.digest,
            "codeRevision": record.code.revision,
            "metrics": record.metrics,
            "verdict": record.verdict,
            "run": record.run,
            "workflow": record.workflow,
            "createdBy": record.created_by,
            "createdAt": record.created_at,
            "record": place,
        },
    }


def mirror(record: Record, place: str) -> None:
    """Write the object, where this is a pod and the cluster has the CRD; a refusal is a warning, not a failure.

    Raises:
        TransientError: the API server is away or busy.
    """
    if not NAMESPACE_FILE.exists():
        return
    try:
        Cluster(role="colchis-register").apply(model_version(record, place))
    except InputError as error:
        log.warning("%s/%d is on record, but not among the modelversions: %s", record.model, record.version, error)
