"""Pulls a model's image on the nodes before traffic moves."""

import contextlib
import logging
import time
from collections.abc import Iterator

from colchis_steps._formats.runs import Preheating
from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests.deployment import Deployed
from colchis_steps._manifests.objects import LABEL_MODEL, Object
from colchis_steps._manifests.preheat import DAEMON_SET, PULL_JOB, daemon_set, preheat_name, pull_job
from colchis_steps._step.errors import InputError
from colchis_steps._step.polling import poll

DEADLINE = 300.0  # seconds for all nodes
log = logging.getLogger("colchis")


def counted(found: Object) -> tuple[int, int, bool]:
    """Return the nodes that are wanted, those that have the image, and whether the cluster has begun to count."""
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

        def everywhere() -> bool | None:
            nonlocal wanted, ready
            if (found := cluster.get(kind, preheat_name(deployed))) is None:
                return True  # somebody removed it
            wanted, ready, begun = counted({"kind": kind, **found})
            return True if begun and ready >= wanted else None

        poll(everywhere, seconds, interval=0.5)
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
