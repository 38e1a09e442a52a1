"""Options that a user gives as one JSON object: how they are read, and the kinds of values that Kubernetes takes."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from colchis_steps._step.errors import InputError

# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ without a sign
Quantity = Annotated[
    str, Meta(pattern=r"\A([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?\Z", max_length=64)
]
ObjectName = Annotated[str, Meta(pattern=r"\A([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?\Z")]  # or empty: none
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]

T = TypeVar("T", bound=msgspec.Struct)


def read_options(text: str, kind: type[T], *, name: str, example: str) -> T:
    """Return the options in ``text``, a JSON object; an empty text stands for the defaults.

    Args:
        text: what the user gave.
        kind: the options with their types and defaults.
        name: what the options are called, in the plural.
        example: JSON that is right, for the error.

    Raises:
        InputError: it is not a JSON object, has an unknown name, or a value that is not allowed.
    """
    try:
        return msgspec.json.decode(text or "{}", type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        names = ", ".join(field.name for field in msgspec.structs.fields(kind))
        sentence = f"{name} {text[:256]!r}: {error}; give JSON like {example} (there are {names})"
        raise InputError(sentence) from error
