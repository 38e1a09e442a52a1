"""What was exported, asked for some rows as a server asks it, against what the model itself answers."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._onnx.loading import OnnxModel
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.formats import ONNX_FILE
from colchis_steps._tensors.probabilities import improper, in_words
from colchis_steps._tensors.tensor import ModelError, ValuesError
from colchis_steps.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    Rows = Mapping[str, np.ndarray[Any, np.dtype[Any]]]

ROWS = 256  # that are compared, at most
SLACK = 1e-4  # of the greatest number, or of 1: between float32 and what the model computes in


def some_rows(context: Context) -> "dict[str, np.ndarray[Any, Any]]":
    """Return the first rows of the split eval, or train where that has none, by column.

    Raises:
        InputError: there are no rows.
    """
    for split in ("eval", "train"):
        try:
            for block in context.blocks(split, 0):
                if found := {name: values[:ROWS] for name, values in block.items() if len(values)}:
                    return found
        except InputError:
            if split == "train":
                raise
    raise InputError("the context has no rows to compare answers on; give it blocks(split, epoch) that yields some")


def write_checked(
    model: Any, directory: Path, rows: "Rows", own: "Callable[[Rows], Mapping[str, np.ndarray[Any, Any]]]", task: str
) -> None:
    """Write ``model.onnx`` into the directory, once it has given for the rows what ``own`` gives, by output.

    The answers may differ by 1e-4 of the greatest number (or of 1), as float32 explains.

    Raises:
        InputError: onnxruntime cannot load it, its answers are others, or its probabilities are none.
    """
    with tempfile.TemporaryDirectory() as beside:
        content = serialized(model)
        (Path(beside) / ONNX_FILE).write_bytes(content)
        loaded = OnnxModel(Path(beside))
        compare(loaded, rows, own(rows), task)
        one = {name: values[:1] for name, values in rows.items()}
        compare(loaded, one, own(one), task)  # any number of rows will do
    directory.mkdir(parents=True, exist_ok=True)
    hidden = directory / f".{ONNX_FILE}"
    hidden.write_bytes(content)
    hidden.replace(directory / ONNX_FILE)


def serialized(model: Any) -> bytes:
    """Return the bytes of an ``onnx.ModelProto``.

    Raises:
        InputError: it is larger than one file may be.
    """
    try:
        content: bytes = model.SerializeToString(deterministic=True)
    except Exception as error:  # protobuf's own class differs by implementation
        raise InputError(
            f"the model is larger than the 2 GiB that one ONNX file holds ({error}); make it smaller"
        ) from (error)
    return content


def compare(loaded: OnnxModel, rows: "Rows", wanted: "Rows", task: str) -> None:
    """Raise InputError unless the exported model gives what is wanted for the rows, within the slack."""
    import numpy as np

    try:
        found = loaded.predict({name: rows[name] for name in loaded.inputs})
    except (ModelError, ValuesError) as error:
        raise InputError(f"the exported model fails at {_count(rows)} ({error}); export it otherwise") from error
    for name, own in wanted.items():
        actual = found[name]
        if actual.shape != own.shape:
            raise InputError(
                f"the exported model gives {name} {list(actual.shape)} and the model itself {list(own.shape)} for "
                f"{_count(rows)}; the converter does not support this kind of model, take another"
            )
        if not np.issubdtype(own.dtype, np.number):
            continue
        told, right = (values.reshape(len(own), -1).astype(np.float64) for values in (actual, own))
        most = SLACK * max(1.0, float(np.abs(right[np.isfinite(right)]).max(initial=0.0)))
        wrong = ~np.isclose(told, right, rtol=0, atol=most, equal_nan=True).all(axis=1)
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"the exported model's {name} differs in {wrong.sum()} of {len(own)} rows, by "
                f"{np.abs(told - right)[row].max():.3g} in row {row}; it computes in float32, so leave scaling out "
                "before trees, or take another kind of model"
            )
    if "probability" in wanted and (bad := improper(found["probability"], one=task == "classification")) is not None:
        kind = "softmax" if task == "classification" else "sigmoid"
        raise InputError(
            f"the model gives rows like {in_words(found['probability'][bad])}, not probabilities; if they are logits, "
            f"give logits=True, else end it with a {kind}"
        )


def _count(rows: "Rows") -> str:
    return f"{len(next(iter(rows.values())))} rows"
