"""Bring a model's image to the nodes before traffic moves to it, so that no pod that is added later waits for a pull.

OpenKruise's ImagePullJob does it where the cluster has that kind; elsewhere a short-lived DaemonSet, whose pods mount
the image and sleep. It never stops a rollout: what is late is told, counted and left to the pods' own pull.
"""

import contextlib
import logging
import time
from collections.abc import Iterator

from colchis_steps._deployment import LABEL_MODEL, LOCKED_POD, READ_ONLY, SCRATCH, Deployed, model_volumes
from colchis_steps._kube import MANAGED, Cluster, Object
from colchis_steps._reports import Preheating
from colchis_steps._step import InputError

DAEMON_SET, PULL_JOB = "DaemonSet", "ImagePullJob"
DEADLINE = 300.0  # seconds for all nodes
TINY = {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}}
log = logging.getLogger("colchis")


def preheat_name(deployed: Deployed) -> str:
    """Give the name of what pulls a version's image."""
    return f"{deployed.name}-preheat"


def labels(deployed: Deployed) -> dict[str, str]:
    """Give its labels; not the version's, by which a Service finds the pods that serve."""
    return {**MANAGED, LABEL_MODEL: deployed.model, "app.kubernetes.io/component": "preheat"}


def daemon_set(deployed: Deployed) -> Object:
    """Describe one pod a node that mounts the model's image, and has the server's image as its own."""
    selector = {"colchis.dev/preheat": deployed.name}
    volumes, mounts = model_volumes(deployed)
    container = {
        "name": "sleep",
        "image": deployed.serve_image,
        "command": ["sleep", "infinity"],
        "resources": TINY,
        "securityContext": READ_ONLY,
        "volumeMounts": [*mounts, {"name": "tmp", "mountPath": SCRATCH}],
    }
    pod = {
        **LOCKED_POD,
        "terminationGracePeriodSeconds": 1,
        "volumes": [*volumes, {"name": "tmp", "emptyDir": {}}],
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": DAEMON_SET,
        "metadata": {"name": preheat_name(deployed), "labels": labels(deployed)},
        "spec": {
            "selector": {"matchLabels": selector},
            "template": {"metadata": {"labels": {**labels(deployed), **selector}}, "spec": pod},
        },
    }


def pull_job(deployed: Deployed, seconds: float) -> Object:
    """Describe OpenKruise's job (apps.kruise.io/v1alpha1), which pulls without a pod."""
    return {
        "apiVersion": "apps.kruise.io/v1alpha1",
        "kind": PULL_JOB,
        "metadata": {"name": preheat_name(deployed), "labels": labels(deployed)},
        "spec": {
            "image": deployed.image,
            "parallelism": 10,
            "pullSecrets": [secret["name"] for secret in LOCKED_POD["imagePullSecrets"]],
            "pullPolicy": {"backoffLimit": 3, "timeoutSeconds": round(seconds)},
            "completionPolicy": {
                "type": "Always",
                "activeDeadlineSeconds": round(seconds),
                "ttlSecondsAfterFinished": 600,
            },
        },
    }


def counted(found: Object) -> tuple[int, int, bool]:
    """Give the nodes that are wanted, those that have the image, and whether the cluster has begun to count."""
    status = found.get("status", {})
    if found["kind"] == PULL_JOB:
        return int(status.get("desired", 0)), int(status.get("succeeded", 0)), "startTime" in status
    begun = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
    return int(status.get("desiredNumberScheduled", 0)), int(status.get("numberReady", 0)), begun


def preheat(cluster: Cluster, deployed: Deployed, seconds: float = DEADLINE) -> Preheating:
    """Pull the version's image to the nodes, wait for them, and remove what did it, however it ends.

    Raises:
        InputError: nothing but an image volume brings the image to a node; or as ``Cluster``.
        TransientError: as ``Cluster``.
    """
    if deployed.volume != "image":
        raise InputError(f"preheating needs --model-volume=image; with {deployed.volume} no node keeps the image")
    began, wanted, ready = time.monotonic(), 0, 0
    with _pulling(cluster, deployed, seconds) as kind:
        while time.monotonic() < began + seconds:
            found = cluster.get(kind, preheat_name(deployed))
            if found is None:
                break  # somebody removed it
            wanted, ready, begun = counted({"kind": kind, **found})
            if begun and ready >= wanted:
                break
            time.sleep(0.5)
    took = time.monotonic() - began
    tell = log.info if ready >= wanted else log.warning
    tell("%d of %d nodes have the image of version %d after %.1f s", ready, wanted, deployed.version, took)
    return Preheating(kind, wanted, ready, round(took, 3))


@contextlib.contextmanager
def _pulling(cluster: Cluster, deployed: Deployed, seconds: float) -> Iterator[str]:
    kind = PULL_JOB if cluster.knows(PULL_JOB) else DAEMON_SET
    try:
        cluster.apply(pull_job(deployed, seconds) if kind == PULL_JOB else daemon_set(deployed))
        yield kind
    finally:
        cluster.discard(kind, preheat_name(deployed), {LABEL_MODEL: deployed.model})
