"""Tensors by name, and what a loaded model of any format is to those who ask it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Arrays: TypeAlias = "Mapping[str, np.ndarray[Any, Any]]"
SIGNATURE = "serving_default"  # what clients call a model's one signature, whatever its format


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model: numpy's name of the dtype (``string`` for bytes); None is any length."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class ValuesError(ValueError):
    """The model itself refuses the values of a call, which fit its signature."""


class ModelError(RuntimeError):
    """The model fails at a call, and not by its values."""


class Program(Protocol):
    """A loaded model; it can be called from several threads.

    ``format`` is one of ``formats.FORMATS``; ``classes`` are the names of classes that the model itself has, or none.
    ``rows_apart`` says whether rows of several requests may be computed together: the warm-up saw that a row has the
    same answer alone and beside another. ``steady`` says that the model has no loop, no branch and nothing that may
    wait, so that its time hangs on the shapes of what it is given and not on the values. ``signature_def`` is the
    signature as TensorFlow Serving's REST API describes it, ``{"serving_default": {"inputs": …, "outputs": …}}``.
    """

    format: str
    classes: tuple[str, ...]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    rows_apart: bool
    steady: bool
    signature_def: Mapping[str, Any]

    def by_signature(self, name: str) -> "Program | None":
        """Return the model as another of its signatures gives it, or None where it has no such one."""

    def predict(self, arrays: Arrays) -> "dict[str, np.ndarray[Any, Any]]":
        """Return the outputs for inputs that fit the signature.

        Raises:
            ValuesError: the model itself refuses the values.
            ModelError: it fails at them.
        """

    def warm_up(self, pictures: Collection[str] = ()) -> bool:
        """Call the model on zeros and ones, and return whether it answers zeros; ``pictures`` are encoded ones."""


def tensor_dtype(dtype: str) -> str:
    """Return a tensor's name of a column's dtype: text of any length is ``string``."""
    return "string" if dtype.lstrip("<>|=")[:1] in {"U", "S", "O"} or dtype.startswith(("str", "bytes")) else dtype
