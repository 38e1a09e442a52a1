"""Which output of a Keras model is what its task asks for, and how what is served is made of it.

classification  ``class`` int64 [rows] and ``probability`` float32 [rows, classes]
multilabel      ``probability`` float32 [rows, labels]
regression      ``value`` float32 [rows, targets]
sequence, none  the model's outputs by their names, as they are

The model's loss says what its output is: where that has ``from_logits=True``, the probabilities are the softmax of the
output, or its sigmoid for a binary loss or several labels, whatever the last layer is.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from colchis_steps._step.errors import InputError

ANSWERS = {  # what a model gives for a row, by task
    "classification": "one probability a class",
    "multilabel": "one probability a label",
    "regression": "one number a target",
}
SLACKS = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 2e-2}  # between two ways to compute a probability, by dtype


@dataclass(frozen=True)
class Output:
    """One output of a model: its name and place in what the model returns, and what makes the task's answer of it.

    ``task`` is the kind of the task, and empty where the output is served as it is.
    """

    name: str = ""
    key: str | int | None = None  # None: the model returns it alone
    activation: str = ""  # softmax or sigmoid; none where it gives probabilities itself
    task: str = "classification"

    def of(self, predictions: Any) -> Any:
        """Return this output of what the model returned."""
        return predictions if self.key is None else predictions[self.key]

    def probabilities(self, predictions: Any) -> Any:
        """Return float32 [rows, classes]; one unit gives the probability of the second of two classes."""
        import tensorflow as tf

        found = tf.cast(self.of(predictions), tf.float32)
        if self.activation:
            found = tf.nn.sigmoid(found) if self.activation == "sigmoid" else tf.nn.softmax(found)
        return tf.concat([1.0 - found, found], -1) if found.shape[-1] == 1 and self.task == "classification" else found

    def served(self, model: Any, predictions: Any) -> dict[str, Any]:
        """Return what a server answers, by name: the task's answer last, before it the model's further outputs."""
        import tensorflow as tf

        further = [other for other in named(model, predictions) if not self.task or other.key != self.key]
        found = {other.name or "output": other.of(predictions) for other in further}
        found = {n: tf.cast(value, tf.float32) if value.dtype.is_floating else value for n, value in found.items()}
        if not self.task:
            return found
        if self.task == "regression":
            value = tf.cast(self.of(predictions), tf.float32)
            return found | {"value": value if len(value.shape) == 2 else value[:, None]}
        probability = self.probabilities(predictions)
        if self.task == "multilabel":
            return found | {"probability": probability}
        return found | {"class": tf.argmax(probability, axis=-1, output_type=tf.int64), "probability": probability}


def named(model: Any, predictions: Any) -> list[Output]:
    """Return the model's outputs, in order."""
    if isinstance(predictions, dict):
        return [Output(str(key), key) for key in predictions]
    if not isinstance(predictions, list | tuple):
        return [Output()]
    names: Sequence[str] = getattr(model, "output_names", None) or []
    names = names if len(names) == len(predictions) else [f"output_{i}" for i in range(len(predictions))]
    return [Output(name, i) for i, name in enumerate(names)]


def find_output(model: Any, predictions: Any, task: str, width: int) -> Output:
    """Return the first output of ``predictions`` that has a number for each of ``width`` classes, labels or targets.

    One unit does for two classes, and [rows] for one target. A sequence and a task of its own have no such output.

    Raises:
        InputError: there is none.
    """
    if task not in ANSWERS:
        return Output(task="")
    shapes = {output: tuple(output.of(predictions).shape) for output in named(model, predictions)}
    rows = next(iter(shapes.values()))[:1]
    others = [(*rows, 1)] if (task, width) == ("classification", 2) else []
    others += [rows] if (task, width) == ("regression", 1) else []
    for wanted in ((*rows, width), *others):
        for position, (output, shape) in enumerate(shapes.items()):
            if shape == wanted:
                units = wanted[-1] if task == "classification" else 1
                activation = activation_of(loss_for(model, output, position), units) if task != "regression" else ""
                return Output(output.name, output.key, activation, task)
    given = ", ".join(f"{output.name} {list(shape)}".strip() for output, shape in shapes.items())
    raise InputError(
        f"the model gives {given} for {rows[0] if rows else 0} rows instead of {[*rows, width]}; "
        f"let its last layer give {ANSWERS[task]}"
    )


def loss_for(model: Any, output: Output, position: int) -> Any:
    """Return what the model is compiled with as the loss of an output."""
    loss = getattr(model, "loss", None)
    if isinstance(loss, dict):
        return loss.get(output.name, next(iter(loss.values())) if len(loss) == 1 else None)
    if isinstance(loss, list | tuple):
        return loss[position] if position < len(loss) else None
    return loss


def activation_of(loss: Any, units: int) -> str:
    given = loss.keywords if isinstance(loss, functools.partial) else getattr(loss, "_fn_kwargs", None) or {}
    if not (getattr(loss, "from_logits", False) or given.get("from_logits")):
        return ""
    name = loss.func.__name__ if isinstance(loss, functools.partial) else type(loss).__name__
    return "sigmoid" if units == 1 or name.lower().startswith("binary") else "softmax"


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
