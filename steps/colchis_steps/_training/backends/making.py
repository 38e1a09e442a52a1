"""The job of a training and what stands beside it: made once, or found again."""

import logging
import threading
from dataclasses import replace

from colchis_steps._kube.cluster import Cluster
from colchis_steps._kube.outcome import outcome_of
from colchis_steps._kube.workflow import workflow_here
from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.training import LABEL_JOB, Training
from colchis_steps._manifests.training_beside import beside
from colchis_steps._manifests.training_jobs import ASKED, job
from colchis_steps._step.errors import TransientError
from colchis_steps._step.polling import wait_until
from colchis_steps._training.backends.ends import AGAIN

FOLLOWER, WORKER = "colchis-train", "colchis-worker"
log = logging.getLogger("colchis")


class StoppedError(TransientError):
    """This process was asked to stop."""


def in_workflow(cluster: Cluster, training: Training) -> Training:
    """Return the training with its owner, the Workflow of the pod that ``$COLCHIS_POD`` names, and an account.

    The workers' is not that of this pod, which may make jobs; where this pod has one of its own, theirs is the same.
    """
    found = workflow_here(cluster)
    if found is None:
        return training
    account = WORKER if found.account == FOLLOWER else found.account
    return replace(training, workflow=found.name, account=account, owner=found.owner)


def make(cluster: Cluster, training: Training, stop: threading.Event) -> None:
    """Make the job where there is none that was asked for likewise, with what stands beside it.

    Whoever calls this knows of no result, so a job that ended well and was kept is made anew.

    Raises:
        InputError: a right, a kind or a field is wrong, or somebody else's object has the name.
        StoppedError: ``stop`` was set meanwhile.
        TransientError: what an earlier try made does not go.
    """
    wanted, what = job(training), f"{training.kind} {training.name}"
    there = cluster.own(training.kind, training.name, training.labels)
    if there and (why := _useless(there, wanted)):
        log.info("%s %s; making it anew", what, why)
        cluster.delete(training.kind, training.name)
        there = None
    if there is None or "deletionTimestamp" in there["metadata"]:
        _cleared(cluster, training, stop)
        for thing in beside(training, training.owner):
            cluster.apply(thing)
        there = cluster.apply(wanted)
        log.info("%s is made, of %d workers, in namespace %s", what, training.workers, cluster.namespace)
    else:
        log.info("%s is there already; following it", what)
    owner = {key: there[key] for key in ("apiVersion", "kind")} | {
        key: there["metadata"][key] for key in ("name", "uid")
    }
    for thing in beside(training, owner):
        cluster.apply(thing)


def _useless(there: Object, wanted: Object) -> str:
    """Return why a job that is there cannot be followed; "" where it can, or goes already."""
    if "deletionTimestamp" in there["metadata"]:
        return ""
    if (there["metadata"].get("annotations") or {}).get(ASKED) != wanted["metadata"]["annotations"][ASKED]:
        return "was made for another image, size or setting"
    ended = outcome_of(there)
    return "was kept, and its result is gone" if ended and ended.good else ""


def _cleared(cluster: Cluster, training: Training, stop: threading.Event) -> None:
    """Wait until nothing is left of an earlier job: two sets of workers under one name would meet each other."""
    last = [training.kind]
    if training.backend == "trainjob":  # it is held while there is a TrainJob, and may have outlived one
        cluster.discard("TrainingRuntime", training.name, training.labels)
        last.append("TrainingRuntime")

    def left() -> str:
        if stop.is_set():
            raise StoppedError(f"asked to stop; {AGAIN}")
        pods = [pod["metadata"]["name"] for pod in cluster.list("Pod", {LABEL_JOB: training.name})]
        return ", ".join([f"{kind} {training.name}" for kind in last if cluster.get(kind, training.name)] + pods)

    wait_until(training.options.grace_seconds + 60.0, left, "what an earlier try made is still there")
