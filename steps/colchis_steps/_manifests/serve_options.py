"""What a version's pods ask of the cluster: one typed JSON object, checked before anything is made; pure."""

from typing import Annotated

import msgspec
from msgspec import Meta

from colchis_steps._manifests.options import Count, Positive, Quantity, read_options
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import OPERATION

EXAMPLE = '{"cpu": "500m", "memory": "1Gi", "replicas": 2, "min_available": 1}'

Operation = Annotated[str, Meta(pattern=rf"\A{OPERATION}\Z")]


class ServeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options; each holds for the pods of the version that is rolled out."""

    cpu: Quantity = "100m"  # asked for, a pod
    memory: Quantity = "512Mi"  # asked for, a pod
    memory_limit: Quantity = "2Gi"  # a pod that takes more is killed
    disk: Quantity = "32Gi"  # at most, a volume: the copied model, and /tmp; a pod that writes more is evicted
    startup_seconds: Positive = 180  # a pod that does not answer until then is started anew
    ready_seconds: Positive = 2  # between two looks at whether a pod may get requests
    replicas: Count = 0  # pods; 0 is as many as serve the model now, or 1
    min_available: Count = 0  # pods that a drained node leaves at work, by a PodDisruptionBudget; 0 is none
    max_replicas: Count = 0  # pods to which a HorizontalPodAutoscaler may go; 0 is none
    cpu_percent: Positive = 70  # of the CPU asked for, at which it adds pods
    batch_size: Positive = 32  # rows that TensorFlow Serving puts together at most
    batch_milliseconds: Annotated[float, Meta(ge=0)] = 2.0  # for which it lets the first of them wait
    log_requests: Annotated[float, Meta(ge=0, le=1)] = (
        0.0  # share of the requests that the embedded server keeps in the store
    )
    tokens: bool = False  # whether requests need a bearer token of Secret colchis-tokens
    allow_operations: tuple[Operation, ...] = ()  # of TensorFlow's, that may reach out of the model


def serve_options(text: str) -> ServeOptions:
    """Return the options in ``text``. Raises InputError as ``read_options``."""
    return read_options(text, ServeOptions, name="serve options", example=EXAMPLE)


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
