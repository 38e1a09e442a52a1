"""What a training job asks of the cluster: one typed JSON object, checked before anything is made; pure."""

import msgspec

from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.options import Count, ObjectName, Positive, Quantity, read_options

EXAMPLE = '{"gpus": 1, "queue": "team-a", "cpu": "4", "memory": "16Gi"}'

SPOT = {  # the labels and taints by which clouds mark nodes that they may take away
    "cloud.google.com/gke-spot": "true",
    "eks.amazonaws.com/capacityType": "SPOT",
    "karpenter.sh/capacity-type": "spot",
    "kubernetes.azure.com/scalesetpriority": "spot",
}


class Toleration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """A taint that the workers' pods tolerate, as Kubernetes has it."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class JobOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options; each holds for the workers' pods alone, never for the workflow's."""

    cpu: Quantity = "500m"  # asked for, a worker
    memory: Quantity = "1Gi"  # asked for, a worker
    memory_limit: Quantity = "4Gi"  # a worker that takes more is killed
    gpus: Count = 0  # a worker
    gpu_resource: str = "nvidia.com/gpu"
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    spot: bool = False  # prefer nodes that may be taken away, and tolerate their taints
    priority: ObjectName = ""  # a PriorityClass
    queue: ObjectName = ""  # Kueue's: the job waits there until there is room for all of its workers
    scheduler: ObjectName = ""  # one that starts all workers or none, such as volcano
    restarts: Count = 10  # how often each worker may be started again
    hours: Positive = 24  # how long the job may take in all
    grace_seconds: Positive = 60  # between the request to stop and the kill, for a checkpoint


def job_options(text: str) -> JobOptions:
    """Return the options in ``text``. Raises InputError as ``read_options``."""
    return read_options(text, JobOptions, name="job options", example=EXAMPLE)


def placed(options: JobOptions) -> Object:
    """Return the fields of a pod's specification that say where it may run."""
    tolerations: list[Object] = [msgspec.to_builtins(one) for one in options.tolerations]
    if options.gpus:
        tolerations.append({"key": options.gpu_resource, "operator": "Exists", "effect": "NoSchedule"})
    placed: Object = {}
    if options.spot:
        tolerations += [{"key": key, "operator": "Equal", "value": value} for key, value in SPOT.items()]
        preferred = [
            {"weight": 1, "preference": {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}}
            for key, value in SPOT.items()
        ]
        placed["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    if tolerations:
        placed["tolerations"] = tolerations
    if options.node_selector:
        placed["nodeSelector"] = options.node_selector
    if options.priority:
        placed["priorityClassName"] = options.priority
    if options.scheduler:
        placed["schedulerName"] = options.scheduler
    return placed
