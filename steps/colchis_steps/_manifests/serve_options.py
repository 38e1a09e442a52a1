"""What a version's pods ask of the cluster: one typed JSON object, checked before anything is made; pure."""

import re

import msgspec

from colchis_steps._step.errors import InputError

EXAMPLE = '{"cpu": "500m", "memory": "1Gi", "replicas": 2, "min_available": 1}'
QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?"
LOWEST = {
    "startup_seconds": 1,
    "ready_seconds": 1,
    "replicas": 0,
    "min_available": 0,
    "max_replicas": 0,
    "cpu_percent": 1,
    "batch_size": 1,
    "batch_milliseconds": 0,
    "log_requests": 0,
}


class ServeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options; each holds for the pods of the version that is rolled out."""

    cpu: str = "100m"  # asked for, a pod
    memory: str = "512Mi"  # asked for, a pod
    memory_limit: str = "2Gi"  # a pod that takes more is killed
    startup_seconds: int = 180  # a pod that does not answer until then is started anew
    ready_seconds: int = 2  # between two looks at whether a pod may get requests
    replicas: int = 0  # pods; 0 is as many as serve the model now, or 1
    min_available: int = 0  # pods that a drained node leaves at work, by a PodDisruptionBudget; 0 is none
    max_replicas: int = 0  # pods to which a HorizontalPodAutoscaler may go; 0 is none
    cpu_percent: int = 70  # of the CPU asked for, at which it adds pods
    batch_size: int = 32  # rows that TensorFlow Serving puts together at most
    batch_milliseconds: float = 2.0  # for which it lets the first of them wait
    log_requests: float = 0.0  # share of the requests that the embedded server keeps in the store


def serve_options(text: str) -> ServeOptions:
    """Read the options.

    Raises:
        InputError: it is no JSON object, has an unknown name, or a value that cannot be.
    """
    try:
        found = msgspec.json.decode(text or "{}", type=ServeOptions)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        names = ", ".join(field.name for field in msgspec.structs.fields(ServeOptions))
        raise InputError(
            f"serve options {text[:256]!r}: {error}; give JSON like {EXAMPLE} (there are {names})"
        ) from error
    for name, lowest in LOWEST.items():
        if getattr(found, name) < lowest:
            raise InputError(f"serve option {name} is {getattr(found, name)}; give at least {lowest}")
    if found.log_requests > 1:
        raise InputError(f"serve option log_requests is {found.log_requests:g}; give a share of at most 1, like 0.01")
    for name in ("cpu", "memory", "memory_limit"):
        if not re.fullmatch(QUANTITY, getattr(found, name)):
            raise InputError(f"serve option {name} is {getattr(found, name)!r}; give something like 500m or 4Gi")
    return found


def check_replicas(options: ServeOptions, replicas: int) -> None:
    """Hold the options against the number of pods.

    Raises:
        InputError: a budget that no drain can meet, or a ceiling below the floor.
    """
    if options.min_available >= replicas and options.min_available:
        raise InputError(
            f"min_available {options.min_available} of {replicas} pods lets no node be drained; "
            "give more replicas, or fewer that must stay"
        )
    if options.max_replicas and options.max_replicas < replicas:
        raise InputError(f"max_replicas {options.max_replicas} is below the {replicas} pods to begin with; raise it")
