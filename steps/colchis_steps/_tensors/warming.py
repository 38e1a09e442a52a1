"""The first calls of a model: they build its kernels, and no client should wait for them."""

import base64
import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from colchis_steps._tensors.tensor import Arrays, ModelError, Program, Tensor, ValuesError

if TYPE_CHECKING:
    import numpy as np

TEXTS = (b"", b"1")
PIXELS = tuple(  # a black one and a white one, as PNG
    base64.b64decode(f"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42m{rest}")
    for rest in ("NgYGAAAAAEAAHI6uv5AAAAAElFTkSuQmCC", "P4//8/AAX+Av4zEpUUAAAAAElFTkSuQmCC")
)
log = logging.getLogger("colchis")


class Warmed(NamedTuple):
    """What the first calls saw: whether the model answers zeros, and whether rows may be computed together."""

    answers: bool
    rows_apart: bool


def warm(model: Program, pictures: Collection[str] = ()) -> Warmed:
    """Call the model on a row of zeros, one of ones, and both; ``pictures`` names inputs of encoded pictures.

    A model that knows all words or codes that there are refuses others, and is not warm then.
    """
    import numpy as np

    answers: list[Arrays] = []
    rows_apart = False
    try:
        low, high = (
            {n: filled(tensor, value, PIXELS if n in pictures else TEXTS) for n, tensor in model.inputs.items()}
            for value in (0, 1)
        )
        answers.append(model.predict(low))
        if all(tensor.shape[:1] == (None,) for tensor in (*model.inputs.values(), *model.outputs.values())):
            answers.append(model.predict(high))
            both = model.predict({name: np.concatenate([low[name], high[name]]) for name in low})
            rows_apart = all(_alike(both[n], np.concatenate([a[n] for a in answers])) for n in both)
    except (ValuesError, ModelError) as error:
        what = "not warm" if not answers else "not batched"
        log.warning("the model does not answer rows of zeros and ones, so it is %s (%s)", what, error)
    return Warmed(bool(answers), rows_apart)


def filled(tensor: Tensor, value: int, texts: Sequence[bytes] = TEXTS) -> "np.ndarray[Any, Any]":
    """Return a tensor that fits, full of 0 or 1 (of these texts, where it is of strings); each free length is 1."""
    import numpy as np

    shape = tuple(1 if length is None else length for length in tensor.shape)
    return (
        np.full(shape, texts[value], dtype=object) if tensor.dtype == "string" else np.full(shape, value, tensor.dtype)
    )


def _alike(one: "np.ndarray[Any, Any]", other: "np.ndarray[Any, Any]") -> bool:
    import numpy as np

    if one.dtype.kind == "f":
        return one.shape == other.shape and np.allclose(one, other, rtol=1e-3, atol=1e-5, equal_nan=True)
    return np.array_equal(one, other)
