"""The Workflow in whose pod a step runs: what the step makes belongs to it, and ends with it."""

import os
from typing import NamedTuple

from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests.objects import Object
from colchis_steps._step.errors import TransientError

POD = "COLCHIS_POD"  # the name of this pod


class Workflow(NamedTuple):
    """A Workflow's name, as what owns objects, and the service account of this pod."""

    name: str
    owner: Object
    account: str


def workflow_here(cluster: Cluster) -> Workflow | None:
    """Return the Workflow of the pod that ``$COLCHIS_POD`` names; None outside of one."""
    pod = cluster.get("Pod", os.environ[POD]) if POD in os.environ else None
    for found in pod["metadata"].get("ownerReferences") or [] if pod else []:
        if found["kind"] == "Workflow":
            owner = {key: found[key] for key in ("apiVersion", "kind", "name", "uid")}
            return Workflow(found["name"], owner, pod["spec"].get("serviceAccountName", "") if pod else "")
    return None


def comes_again(cluster: Cluster) -> bool:
    """Return whether it is this pod alone that goes: it is being deleted, and its Workflow is not."""
    if POD not in os.environ:
        return False
    try:
        pod = cluster.get("Pod", os.environ[POD])
    except TransientError:
        return True
    return pod is None or "deletionTimestamp" in pod["metadata"]
