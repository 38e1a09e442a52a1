"""The hyper-parameters that training itself reads, their defaults and bounds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from colchis_steps._step.errors import InputError

DEFAULTS = {"epochs": 10, "global_batch": 64, "seed": 0, "accumulate": 1, "checkpoint_seconds": 300}
LOWEST = {"epochs": 1, "global_batch": 1, "seed": 0, "accumulate": 1, "checkpoint_seconds": 1}
TRAINERS = frozenset({*DEFAULTS, "precision"})  # what the trainer itself reads
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters: those that the trainer reads, and all that were given, which the entry reads.

    ``global_batch`` counts the rows of one step over all workers; each worker computes its share in ``accumulate``
    parts, one after the other. ``checkpoint_seconds`` is the time between checkpoints within an epoch.
    """

    epochs: int
    global_batch: int
    seed: int
    accumulate: int
    checkpoint_seconds: int
    precision: str
    all: Mapping[str, Any]


def settings(text: str) -> Settings:
    """Read hyper-parameters from a JSON object; those of the trainer have defaults.

    Raises:
        InputError: it is no JSON object, or one of the trainer's is no whole number or too small, or no precision.
    """
    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise InputError(f'hyper-parameters {text[:256]!r} are no JSON ({error}); give {{"epochs": 10}}') from error
    if not isinstance(given, dict):
        raise InputError(f'hyper-parameters {text[:256]!r} are no JSON object; give one like {{"epochs": 10}}')
    every = DEFAULTS | given
    for name, lowest in LOWEST.items():
        value = every[name]
        if type(value) is not int or value < lowest:
            raise InputError(f"hyper-parameter {name} is {value!r}; give a whole number of at least {lowest}")
    if every["seed"] >= 2**32:
        raise InputError(f"hyper-parameter seed is {every['seed']}; give one below {2**32}")
    if (precision := every.get("precision", PRECISIONS[0])) not in PRECISIONS:
        raise InputError(f"hyper-parameter precision is {precision!r}; give one of {', '.join(PRECISIONS)}")
    told = {"epochs", "global_batch", "seed", *given}  # the others change nothing of the result
    return Settings(
        **{name: every[name] for name in DEFAULTS},
        precision=precision,
        all=MappingProxyType({name: value for name, value in every.items() if name in told}),
    )
