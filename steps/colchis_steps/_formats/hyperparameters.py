"""The hyper-parameters that training itself reads, their defaults and bounds."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from colchis_steps._step.errors import InputError

ALWAYS = ("epochs", "global_batch", "seed")  # given or not; the other defaults change nothing of the result


class Settings(msgspec.Struct, frozen=True):
    """The hyper-parameters: those that the trainer reads, and ``all`` that were given, which the entry reads.

    ``global_batch`` counts the rows of one step over all workers; each worker computes its share in ``accumulate``
    parts, one after the other. ``checkpoint_seconds`` is the time between checkpoints within an epoch.
    ``sync_batch_norm`` lets every BatchNormalization layer see the rows of all workers. ``class_weight`` balanced lets
    each class have the same weight in the loss of training, however many rows it has.
    """

    epochs: Annotated[int, Meta(ge=1)] = 10
    global_batch: Annotated[int, Meta(ge=1)] = 64
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    accumulate: Annotated[int, Meta(ge=1)] = 1
    checkpoint_seconds: Annotated[int, Meta(ge=1)] = 300
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    sync_batch_norm: bool = False
    class_weight: Literal["", "balanced"] = ""
    all: Mapping[str, Any] = MappingProxyType({})


TRAINERS = frozenset(Settings.__struct_fields__) - {"all"}  # what the trainer itself reads


def settings(text: str) -> Settings:
    """Read hyper-parameters from a JSON object; those of the trainer have defaults.

    Raises:
        InputError: it is not a JSON object, or one of the trainer's is not of its type or out of its bounds.
    """
    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise InputError(f'hyper-parameters {text[:256]!r} are not JSON ({error}); give {{"epochs": 10}}') from error
    if not isinstance(given, dict):
        raise InputError(f'hyper-parameters {text[:256]!r} are not a JSON object; give one like {{"epochs": 10}}')
    chosen = {field.name: _held(field, given[field.name]) for field in _trainers() if field.name in given}
    defaults = Settings()
    every = {**{name: getattr(defaults, name) for name in ALWAYS}, **given}
    return Settings(**chosen, all=MappingProxyType(every))


def _trainers() -> list[msgspec.structs.FieldInfo]:
    return [field for field in msgspec.structs.fields(Settings) if field.name in TRAINERS]


def _held(field: msgspec.structs.FieldInfo, value: Any) -> Any:
    """Return the value where it is of the field's type; the error says what to give in its place."""
    try:
        return msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        raise InputError(f"hyper-parameter {field.name} is {value!r}; give {_wanted(field.type, value)}") from error


def _wanted(kind: Any, value: Any) -> str:
    match msgspec.inspect.type_info(kind):
        case msgspec.inspect.LiteralType():
            return f"one of {', '.join(name for name in get_args(kind) if name)}"
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType(lt=int(above)) if type(value) is int and value >= above:
            return f"one below {above}"
        case msgspec.inspect.IntType(ge=least):
            return f"a whole number of at least {least}"
        case other:
            raise AssertionError(f"no words for {other}")
