"""Arrays as JSON has them: the same wherever what a model takes and gives is written down."""

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def plain(array: "np.ndarray[Any, Any]") -> Any:
    """Return an array of any shape as lists of Python's numbers and texts; one without a shape as its value.

    Bytes and texts, of dtype S or as objects, are written as ``text`` has them.
    """
    import numpy as np

    return np.vectorize(text, otypes=[object])(array).tolist() if array.dtype.kind in "SO" else array.tolist()


def text(value: bytes | str) -> Any:
    """Return text as it is, and bytes as text where they are UTF-8, else as ``{"b64": …}``, as V1 has it."""
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}
