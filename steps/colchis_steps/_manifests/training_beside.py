"""What stands beside a training's job and goes with it: a network policy, names for the pods, a runtime. Pure."""

from typing import Any

from colchis_steps._manifests.objects import KINDS, Object
from colchis_steps._manifests.training import LABEL_JOB, PORT, Training
from colchis_steps._manifests.training_jobs import runtime


def beside(training: Training, owner: Object | None = None) -> list[Object]:
    """Describe all of it, in the order in which it must be there; ``owner`` is the job, with which it goes.

    TensorFlow's server takes graphs from whoever reaches it, so the policy lets in the training's own pods alone: on
    every port, because a command's own exchange chooses its ports. Nothing else connects to a worker: it has no probes,
    and logs are read by the node.
    """
    policy = {
        "podSelector": {"matchLabels": {LABEL_JOB: training.name}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {LABEL_JOB: training.name}}}]}],
    }
    found = [_object(training, "NetworkPolicy", policy, owner)]
    if training.backend == "indexed-job":
        names = {  # of the pods, before they are ready too
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {LABEL_JOB: training.name},
            "ports": [{"name": "train", "port": PORT, "targetPort": PORT}],
        }
        found.append(_object(training, "Service", names, owner))
    if training.backend == "trainjob":
        found.append(_object(training, "TrainingRuntime", runtime(training), owner))
    return found


def _object(training: Training, kind: str, spec: dict[str, Any], owner: Object | None) -> Object:
    metadata: Object = {"name": training.name, "labels": training.labels}
    if owner:
        metadata["ownerReferences"] = [owner]
    return {"apiVersion": KINDS[kind][0], "kind": kind, "metadata": metadata, "spec": spec}
