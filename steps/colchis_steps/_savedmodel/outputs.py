"""Which output of a Keras model gives the probabilities of the classes, and how they are made of it.

The model's loss says what its output is: where that has ``from_logits=True``, the probabilities are the softmax of the
output, or its sigmoid for a binary loss, whatever the last layer is.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np

SLACK = 0.01  # of a row's sum: bfloat16 has 8 bits
SLACKS = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 2e-2}  # between two ways to compute a probability, by dtype


@dataclass(frozen=True)
class Output:
    """One output of a model: its name and place in what the model returns, and what makes probabilities of it."""

    name: str = ""
    key: str | int | None = None  # None: the model returns it alone
    activation: str = ""  # softmax or sigmoid; none where it gives probabilities itself

    def of(self, predictions: Any) -> Any:
        """Return this output of what the model returned."""
        return predictions if self.key is None else predictions[self.key]

    def probabilities(self, predictions: Any) -> Any:
        """Return float32 [rows, classes]; one unit gives the probability of the second of two classes."""
        import tensorflow as tf

        found = tf.cast(self.of(predictions), tf.float32)
        if self.activation:
            found = tf.nn.sigmoid(found) if self.activation == "sigmoid" else tf.nn.softmax(found)
        return tf.concat([1.0 - found, found], -1) if found.shape[-1] == 1 else found


def named(model: Any, predictions: Any) -> list[Output]:
    """Return the model's outputs, in order."""
    if isinstance(predictions, dict):
        return [Output(str(key), key) for key in predictions]
    if not isinstance(predictions, list | tuple):
        return [Output()]
    names: Sequence[str] = getattr(model, "output_names", None) or []
    names = names if len(names) == len(predictions) else [f"output_{i}" for i in range(len(predictions))]
    return [Output(name, i) for i, name in enumerate(names)]


def find_output(model: Any, predictions: Any, classes: int) -> Output:
    """Return the first output of ``predictions`` that has a number for each class, else one unit where those are two.

    Raises:
        InputError: there is none.
    """
    shapes = {output: tuple(output.of(predictions).shape) for output in named(model, predictions)}
    rows = next(iter(shapes.values()))[:1]
    for wanted in ((*rows, classes), *([(*rows, 1)] if classes == 2 else [])):
        for position, (output, shape) in enumerate(shapes.items()):
            if shape == wanted:
                activation = _activation(loss_for(model, output, position), wanted[-1])
                return Output(output.name, output.key, activation)
    given = ", ".join(f"{output.name} {list(shape)}".strip() for output, shape in shapes.items())
    raise InputError(
        f"the model gives {given} for {rows[0] if rows else 0} rows instead of {[*rows, classes]}; "
        "let its last layer give one probability a class"
    )


def loss_for(model: Any, output: Output, position: int) -> Any:
    """Return what the model is compiled with as the loss of an output."""
    loss = getattr(model, "loss", None)
    if isinstance(loss, dict):
        return loss.get(output.name, next(iter(loss.values())) if len(loss) == 1 else None)
    if isinstance(loss, list | tuple):
        return loss[position] if position < len(loss) else None
    return loss


def _activation(loss: Any, units: int) -> str:
    given = loss.keywords if isinstance(loss, functools.partial) else getattr(loss, "_fn_kwargs", None) or {}
    if not (getattr(loss, "from_logits", False) or given.get("from_logits")):
        return ""
    name = loss.func.__name__ if isinstance(loss, functools.partial) else type(loss).__name__
    return "sigmoid" if units == 1 or name.lower().startswith("binary") else "softmax"


def improper(probabilities: "np.ndarray[Any, Any]") -> int | None:
    """Return the first row of [rows, classes] that leaves [0, 1] or does not sum to 1; rows with NaN are not judged."""
    import numpy as np

    values = probabilities.astype(np.float64)
    inside = ((values >= -SLACK) & (values <= 1 + SLACK)).all(axis=1)
    wrong = np.isfinite(values).all(axis=1) & ~(inside & (np.abs(values.sum(axis=1) - 1) <= SLACK))
    return int(wrong.argmax()) if wrong.any() else None


def in_words(row: "np.ndarray[Any, Any]") -> str:
    """Return the first numbers of a row [classes], and its sum."""
    return f"[{', '.join(f'{value:.3g}' for value in row[:5])}] with the sum {row.sum():.3g}"


def slack(model: Any) -> float:
    """Return how far two computations of a probability may be apart, by the roughest dtype that a layer computes in."""
    layers = [model, *getattr(model, "_flatten_layers", list)()]
    return max(SLACKS.get(str(layer.compute_dtype), SLACKS["float32"]) for layer in layers)


def forward_of(model: Any) -> Callable[..., Any]:
    """Return the model's call; one whose ``call`` has no argument ``training`` gets none."""
    takes = inspect.signature(model.call).parameters
    if "training" in takes or any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        return model  # type: ignore[no-any-return]
    return lambda inputs, training: model(inputs)  # noqa: ARG005


def tensor_dtype(dtype: str) -> str:
    """Return TensorFlow's name of a column's dtype: text of any length is ``string``."""
    return "string" if dtype.lstrip("<>|=")[:1] in {"U", "S", "O"} or dtype.startswith(("str", "bytes")) else dtype
