"""What keeps enough of a version's pods at work: a PodDisruptionBudget and a HorizontalPodAutoscaler, where asked for.

Both belong to the version's main object, so that the cluster removes them with it, however that goes.
"""

from colchis_steps._manifests.deployment import Deployed
from colchis_steps._manifests.objects import LABEL_MODEL, LABEL_VERSION, MANAGED, Object

BUDGET, AUTOSCALER = "PodDisruptionBudget", "HorizontalPodAutoscaler"


def owned(deployed: Deployed, owner: Object) -> Object:
    """Return the metadata of what belongs to the version's main object, as the cluster gave that back."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    labels = {**MANAGED, LABEL_MODEL: deployed.model, LABEL_VERSION: str(deployed.version)}
    return {"name": deployed.name, "labels": labels, "ownerReferences": [reference]}


def budget(deployed: Deployed, owner: Object) -> Object | None:
    """Describe how many pods a drained node must leave at work; None where any number will do."""
    if not deployed.options.min_available:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": BUDGET,
        "metadata": owned(deployed, owner),
        "spec": {
            "minAvailable": deployed.options.min_available,
            "selector": {"matchLabels": deployed.selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",  # a pod that never answers must not hold a drain up
        },
    }


def autoscaler(deployed: Deployed, owner: Object) -> Object | None:
    """Describe how the Deployment grows with its load; None where it does not. At rest (0 pods) it does nothing."""
    if not deployed.options.max_replicas:
        return None
    target = {"type": "Utilization", "averageUtilization": deployed.options.cpu_percent}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": AUTOSCALER,
        "metadata": owned(deployed, owner),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployed.name},
            "minReplicas": deployed.replicas,
            "maxReplicas": deployed.options.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }
