"""Predictions as a Job of the cluster: made once or found again, followed to its end, explained."""

import contextlib
import logging
import time
from dataclasses import replace

from colchis_steps._kube.cluster import Cluster
from colchis_steps._kube.outcome import Outcome, outcome_of
from colchis_steps._kube.pod_trouble import trouble
from colchis_steps._kube.workflow import comes_again, workflow_here
from colchis_steps._manifests.batch_jobs import LABEL_JOB, BatchJob, batch_job
from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.training_jobs import ASKED
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._step.polling import wait_until
from colchis_steps._step.progress import progress

ROLE, ACCOUNT = "colchis-train", "colchis-batch"  # who makes the job, and whose key its pods have
POLL = 1.0
AWAY = 120.0  # seconds for which the API server may be away
log = logging.getLogger("colchis")


def run_job(cluster: Cluster, asked: BatchJob) -> None:
    """Make the job, or find the one that is there, and follow it to its end.

    It stays where only this pod goes, as the next try finds it; else it is removed with what went wrong.

    Raises:
        InputError: a pod says so, or cannot start. TransientError: pods were lost too often, or somebody removed it.
    """
    if found := workflow_here(cluster):
        asked = replace(asked, workflow=found.name, account=ACCOUNT, owner=found.owner)
    try:
        _make(cluster, asked)
        _follow(cluster, asked)
    except StepError:
        if not comes_again(cluster):
            with contextlib.suppress(StepError):
                cluster.delete("Job", asked.name)
        raise
    cluster.delete("Job", asked.name)


def _make(cluster: Cluster, asked: BatchJob) -> None:
    wanted = batch_job(asked)
    there = cluster.own("Job", asked.name, asked.labels)
    if there and _is_useless(there, wanted):
        cluster.delete("Job", asked.name)
        wait_until(60.0, lambda: asked.name if cluster.get("Job", asked.name) else "", "an earlier job is still there")
        there = None
    if there is None:
        cluster.apply(wanted)
        log.info("Job %s is made, of %d pods, in namespace %s", asked.name, asked.workers, cluster.namespace)


def _is_useless(there: Object, wanted: Object) -> bool:
    other = (there["metadata"].get("annotations") or {}).get(ASKED) != wanted["metadata"]["annotations"][ASKED]
    ended = outcome_of(there)
    return other or "deletionTimestamp" in there["metadata"] or bool(ended and not ended.good)


def _follow(cluster: Cluster, asked: BatchJob) -> None:
    heard, said = time.monotonic(), ""
    while True:
        time.sleep(POLL)
        try:
            found = cluster.get("Job", asked.name)
            pods = cluster.list("Pod", {LABEL_JOB: asked.name})
        except TransientError as error:
            if time.monotonic() - heard > AWAY:
                raise TransientError(f"{error} (it has been so for {AWAY:.0f} s)") from error
            continue
        heard = time.monotonic()
        if found is None:
            raise TransientError(f"Job {asked.name} was deleted by someone else; run this again")
        progress(int(found.get("status", {}).get("succeeded") or 0), asked.workers)
        reason, hopeless = trouble({"status": {}}, pods)
        outcome = outcome_of(found)
        if outcome and outcome.good:
            return
        if outcome:
            raise _explained(asked, outcome, reason, hopeless=hopeless)
        if hopeless and not any(_runs(pod) for pod in pods):
            raise InputError(f"the pods of Job {asked.name} cannot predict: {reason}; put that right and run it again")
        if reason not in {"", said}:
            said = reason
            log.warning("Job %s: %s", asked.name, reason)


def _runs(pod: Object) -> bool:
    return str(pod.get("status", {}).get("phase")) in {"Running", "Succeeded"}


def _explained(asked: BatchJob, outcome: Outcome, reason: str, *, hopeless: bool) -> StepError:
    if outcome.late:
        return InputError(
            f"Job {asked.name} took longer than its {asked.options.hours} hours; raise hours in --job-options"
        )
    kind = InputError if hopeless else TransientError
    return kind(f"Job {asked.name} failed ({reason or outcome.why}); put that right and run it again")
