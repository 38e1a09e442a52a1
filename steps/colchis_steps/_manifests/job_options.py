"""What a training job asks of the cluster: one typed JSON object, checked before anything is made; pure."""

import re

import msgspec

from colchis_steps._manifests.objects import Object
from colchis_steps._step.errors import InputError

EXAMPLE = '{"gpus": 1, "queue": "team-a", "cpu": "4", "memory": "16Gi"}'
QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?"
NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"

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

    cpu: str = "500m"  # asked for, a worker
    memory: str = "1Gi"  # asked for, a worker
    memory_limit: str = "4Gi"  # a worker that takes more is killed
    gpus: int = 0  # a worker
    gpu_resource: str = "nvidia.com/gpu"
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    spot: bool = False  # prefer nodes that may be taken away, and tolerate their taints
    priority: str = ""  # a PriorityClass
    queue: str = ""  # Kueue's: the job waits there until there is room for all of its workers
    scheduler: str = ""  # one that starts all workers or none, such as volcano
    restarts: int = 10  # how often each worker may be started again
    hours: int = 24  # how long the job may take in all
    grace_seconds: int = 60  # between the request to stop and the kill, for a checkpoint


def job_options(text: str) -> JobOptions:
    """Read the options.

    Raises:
        InputError: it is no JSON object, has an unknown name, or a value of a wrong kind.
    """
    try:
        found = msgspec.json.decode(text or "{}", type=JobOptions)
    except msgspec.DecodeError as error:
        names = ", ".join(field.name for field in msgspec.structs.fields(JobOptions))
        raise InputError(
            f"job options {text[:256]!r}: {error}; give JSON like {EXAMPLE} (there are {names})"
        ) from error
    for name, lowest in {"gpus": 0, "restarts": 0, "hours": 1, "grace_seconds": 1}.items():
        if getattr(found, name) < lowest:
            raise InputError(f"job option {name} is {getattr(found, name)}; give at least {lowest}")
    for name in ("cpu", "memory", "memory_limit"):
        _matches(name, getattr(found, name), QUANTITY, "500m or 4Gi")
    for name in ("priority", "queue", "scheduler"):
        if getattr(found, name):
            _matches(name, getattr(found, name), NAME, "team-a")
    return found


def _matches(name: str, value: str, pattern: str, example: str) -> None:
    if not re.fullmatch(pattern, value):
        raise InputError(f"job option {name} is {value!r}; give something like {example}")


def placed(options: JobOptions) -> Object:
    """Give the fields of a pod's specification that say where it may run."""
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
