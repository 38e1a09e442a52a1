"""What a training job asks of the cluster: one typed JSON object, checked before anything is made; pure."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.options import Count, ObjectName, Positive, Quantity, read_options
from colchis_steps._step.errors import InputError

KEPT = 86_400  # seconds for which an ended job that nobody asked about is kept
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
Time = Annotated[str, Meta(pattern=r"\A([1-9][0-9]{0,3}[smhd])?\Z")]  # 90s, 30m, 24h, 7d; or empty: none

EXAMPLE = '{"gpus": 1, "queue": "team-a", "cpu": "4", "memory": "16Gi"}'

SPOT = {  # the labels and taints by which clouds mark nodes that they may take away
    "cloud.google.com/gke-spot": "true",
    "eks.amazonaws.com/capacityType": "SPOT",
    "karpenter.sh/capacity-type": "spot",
    "kubernetes.azure.com/scalesetpriority": "spot",
}


ALLOWED = "COLCHIS_JOB_ALLOWED"  # in the ConfigMap colchis, so that a submitter cannot set it
ALLOWED_EXAMPLE = '{"tolerations": ["dedicated"], "priorities": ["batch"]}'


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
    disk: Quantity = "32Gi"  # at most, below /tmp; a worker that writes more is evicted
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
    keep: Time = ""  # for how long a job that went well stays, so that it can be looked at; else it is deleted

    @property
    def seconds_kept(self) -> int:
        """Return the time to live of a job that has ended, in seconds."""
        return int(self.keep[:-1]) * UNITS[self.keep[-1]] if self.keep else KEPT


class Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What submitters may ask of the nodes: by it a pod gets to where others' pods do not, or pushes them away."""

    tolerations: tuple[str, ...] = ()  # keys of taints
    priorities: tuple[str, ...] = ()  # PriorityClasses


def job_options(text: str, allowed: str | None = None) -> JobOptions:
    """Return the options in ``text``; ``allowed`` is the installation's list as JSON, None: whoever asks is the user.

    Raises:
        InputError: as ``read_options``, or a toleration or the priority is not on the list.
    """
    options = read_options(text, JobOptions, name="job options", example=EXAMPLE)
    if allowed is not None:
        may = read_options(allowed, Allowed, name=f"what ${ALLOWED} allows", example=ALLOWED_EXAMPLE)
        keys = [toleration.key or "(every taint)" for toleration in options.tolerations]
        _hold("tolerations of", keys, may.tolerations)
        _hold("the priority", [options.priority] if options.priority else [], may.priorities)
    return options


def _hold(what: str, wanted: Sequence[str], allowed: Sequence[str]) -> None:
    if other := [one for one in wanted if one not in allowed]:
        there = f"only {', '.join(allowed)}" if allowed else "none"
        raise InputError(
            f"job options ask for {what} {other[0][:256]!r} and this installation allows {there}; leave it out, or ask "
            f"its operator to add it to {ALLOWED} in the ConfigMap colchis"
        )


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
