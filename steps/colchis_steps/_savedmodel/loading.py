"""A SavedModel in this process: its signature, its warm-up and its predictions. Importing this needs no TensorFlow."""

import base64
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colchis_steps._savedmodel.checking import check_operations, read_graph
from colchis_steps._savedmodel.library import load_tensorflow
from colchis_steps._step.errors import InputError

SIGNATURE = "serving_default"
TEXTS = (b"", b"1")
PIXELS = tuple(  # a black one and a white one, as PNG
    base64.b64decode(f"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42m{rest}")
    for rest in ("NgYGAAAAAEAAHI6uv5AAAAAElFTkSuQmCC", "P4//8/AAX+Av4zEpUUAAAAAElFTkSuQmCC")
)
log = logging.getLogger("colchis")


Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Tensor:
    """An input or output of a signature: numpy's name of the dtype (``string`` for bytes); None is any length."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class ValuesError(ValueError):
    """The model itself refuses the values of a call, which fit its signature."""


class SavedModel:
    """A loaded SavedModel; it can be called from several threads.

    ``rows_apart`` says whether rows of several requests may be computed together: the warm-up saw that a row has the
    same answer alone and beside another.
    """

    rows_apart = False

    def __init__(self, path: Path, allowed: Collection[str] | None = ()) -> None:
        """Load the model's signature ``serving_default``.

        ``allowed`` names operations that may reach out of the model; None allows all, for one that was made here.

        Raises:
            InputError: there is no SavedModel, it is damaged, reaches out of itself, lacks the signature, or has an
                unusual dtype.
        """
        tf = load_tensorflow()
        from google.protobuf.json_format import MessageToDict

        proto = read_graph(path, str(path))
        if allowed is not None:
            check_operations(proto, str(path), allowed)
        try:
            loaded = tf.saved_model.load(str(path))
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise InputError(
                f"{path} is not a SavedModel that TensorFlow {tf.__version__} can load ({_clip(error)}); "
                "export it again"
            ) from error
        signatures = dict(proto.meta_graphs[0].signature_def) if proto.meta_graphs else {}
        if SIGNATURE not in loaded.signatures or SIGNATURE not in signatures:
            known = ", ".join(sorted(loaded.signatures)) or "none"
            raise InputError(f"{path} has no signature {SIGNATURE} (it has {known}); export it with model.export")
        self._loaded = loaded  # the signature alone does not keep the variables alive
        self._call = loaded.signatures[SIGNATURE]
        self._constant, self._errors = tf.constant, tf.errors
        signature, outputs = self._call.structured_input_signature, self._call.structured_outputs
        self.inputs = {name: _tensor(name, spec) for name, spec in sorted(signature[1].items())}
        self.outputs = {name: _tensor(name, spec) for name, spec in sorted(outputs.items())}
        self.signature_def: dict[str, Any] = {
            SIGNATURE: MessageToDict(
                signatures[SIGNATURE], preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        }

    def predict(self, arrays: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        """Return the outputs for inputs that fit the signature.

        Raises:
            ValuesError: the model itself refuses the values.
        """
        try:
            given = {name: self._constant(array) for name, array in arrays.items()}
            found = self._call(**given)
            return {name: found[name].numpy() for name in self.outputs}
        except (self._errors.InvalidArgumentError, self._errors.OutOfRangeError) as error:
            raise ValuesError(f"the model refuses these values: {_clip(error)}") from error

    def warm_up(self, pictures: Collection[str] = ()) -> bool:
        """Call the model on zeros and ones: the first calls build its kernels, and no client should wait for them.

        ``pictures`` names inputs of encoded pictures, for which these are a black and a white one.

        Return whether it answers zeros: one that knows all words or codes that there are refuses others.
        """
        answers: list[Arrays] = []
        try:
            low, high = (
                {n: filled(tensor, value, PIXELS if n in pictures else TEXTS) for n, tensor in self.inputs.items()}
                for value in (0, 1)
            )
            answers.append(self.predict(low))
            if all(tensor.shape[:1] == (None,) for tensor in (*self.inputs.values(), *self.outputs.values())):
                answers.append(self.predict(high))
                both = self.predict({name: np.concatenate([low[name], high[name]]) for name in low})
                self.rows_apart = all(_alike(both[n], np.concatenate([a[n] for a in answers])) for n in both)
        except (ValuesError, self._errors.OpError) as error:
            what = "not warm" if not answers else "not batched"
            log.warning("the model does not answer rows of zeros and ones, so it is %s (%s)", what, _clip(error))
        return bool(answers)


def filled(tensor: Tensor, value: int, texts: Sequence[bytes] = TEXTS) -> np.ndarray[Any, Any]:
    """Return a tensor that fits, full of 0 or 1 (of these texts, where it is of strings); each free length is 1."""
    shape = tuple(1 if length is None else length for length in tensor.shape)
    return (
        np.full(shape, texts[value], dtype=object) if tensor.dtype == "string" else np.full(shape, value, tensor.dtype)
    )


def _alike(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    if one.dtype.kind == "f":
        return one.shape == other.shape and np.allclose(one, other, rtol=1e-3, atol=1e-5, equal_nan=True)
    return np.array_equal(one, other)


def _tensor(name: str, spec: Any) -> Tensor:
    dtype = spec.dtype.name
    if dtype != "string" and (not hasattr(np, dtype) or np.dtype(dtype).kind not in "biuf"):
        raise InputError(
            f"{name} is {dtype}, which JSON cannot carry; cast it to float32 in the model and export again"
        )
    if spec.shape.rank is None:
        raise InputError(f"{name} has no known rank; give its shape in the model and export again")
    return Tensor(name, dtype, tuple(spec.shape.as_list()))


def _clip(error: BaseException) -> str:
    return " ".join(str(error).split())[:256]
