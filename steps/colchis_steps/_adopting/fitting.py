"""How a model that exists is made to take the data's columns and to give its task's answer. Pure.

Inputs   each by the name of a column; a lone one takes the lone column, or all columns of one number, in their order
Outputs  the task's answer is ``--output``, or the one that has its name, or the only one of its shape
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import Tensor

ANSWERS = {"classification": "probability", "multilabel": "probability", "regression": "value"}
CLASS = "class"
ACTIVATIONS = ("none", "softmax", "sigmoid")  # of a person's choice; a Keras file's loss tells one, too


@dataclass(frozen=True)
class Wanted:
    """What is asked of a model: ``columns`` are the data's features as tensors [rows, …]; None where there are no data.

    ``width`` counts classes, labels or targets; 0 is any. ``output`` and ``activation`` are what a person chose.
    """

    task: str = ""
    width: int = 0
    columns: Mapping[str, Tensor] | None = None
    output: str = ""
    activation: str = "none"


@dataclass(frozen=True)
class Fit:
    """What is served of a model: by each of its inputs the columns that it takes; the output that is the answer.

    ``answer`` is empty where the outputs are served by their own names. ``wraps`` says whether anything changes.
    """

    inputs: Mapping[str, Sequence[Tensor]]
    answer: str = ""
    task: str = ""
    activation: str = ""
    wraps: bool = False

    @property
    def served(self) -> dict[str, Tensor]:
        """The served inputs, by name."""
        return {column.name: column for columns in self.inputs.values() for column in columns}


def fit(inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], wanted: Wanted, source: str) -> Fit:
    """Return how the model is served as what is wanted.

    Raises:
        InputError: it does not take the data's columns, or no output, or more than one, is the task's answer.
    """
    taken = _inputs(inputs, wanted.columns, source)
    answer = _answer(outputs, wanted, source)
    activation = "" if wanted.activation == "none" else wanted.activation
    renamed = any(list(columns) != [inputs[name]] for name, columns in taken.items())
    return Fit(taken, answer, wanted.task if answer else "", activation, bool(renamed or answer or activation))


def _inputs(
    inputs: Mapping[str, Tensor], columns: Mapping[str, Tensor] | None, source: str
) -> dict[str, Sequence[Tensor]]:
    if columns is None:
        return {name: [tensor] for name, tensor in inputs.items()}
    if all(name in columns for name in inputs):
        found: dict[str, Sequence[Tensor]] = {name: [columns[name]] for name in inputs}
    elif (len(inputs) == 1 and len(columns) == 1) or (
        len(inputs) == 1 and all(len(column.shape) == 1 for column in columns.values())
    ):
        found = {next(iter(inputs)): list(columns.values())}
    else:
        missing = next(name for name in inputs if name not in columns)
        raise InputError(
            f"{source} takes {_kinds(inputs)}, and the data have {_kinds(columns)}; name its input {missing!r} after "
            "the column that it takes, and export it again"
        )
    for name, given in found.items():
        if not _takes(inputs[name], given):
            raise InputError(
                f"{source} takes {_kinds({name: inputs[name]})}, and the data have "
                f"{_kinds({one.name: one for one in given})}; judge it on data like that of its training"
            )
    return found


def _takes(wanted: Tensor, given: Sequence[Tensor]) -> bool:
    if not all(_casts(column.dtype, wanted.dtype) for column in given):
        return False
    if len(given) > 1:
        return len(wanted.shape) == 2 and wanted.shape[1] in {None, len(given)}
    column = given[0]
    if len(column.shape) == len(wanted.shape):
        pairs = zip(column.shape[1:], wanted.shape[1:], strict=True)
        return all(None in {one, other} or one == other for one, other in pairs)
    rest = (*column.shape[1:], *wanted.shape[1:])  # a vector of one number for a number, and the other way
    return None not in rest and math.prod(map(int, column.shape[1:])) == math.prod(map(int, wanted.shape[1:]))  # type: ignore[arg-type]


def _casts(one: str, other: str) -> bool:
    """Return whether values of a column's dtype are taken as a model's: never from a fraction to a whole number."""
    if "string" in {one, other}:
        return one == other
    kinds = "buif"
    return kinds.index(np.dtype(one).kind) <= kinds.index(np.dtype(other).kind)


def _answer(outputs: Mapping[str, Tensor], wanted: Wanted, source: str) -> str:
    """Return the output that the task's answer is made of; "" where all are served as they are."""
    name, there = ANSWERS.get(wanted.task, ""), _kinds(outputs)
    if wanted.output and wanted.output not in outputs:
        raise InputError(f"{source} has no output {wanted.output!r}, but {there}; correct --output")
    if not name:
        return ""
    fitting = [one for one, tensor in outputs.items() if _answers(tensor, wanted)]
    if wanted.output and wanted.output not in fitting:
        raise InputError(f"{source} gives {there}, of which {wanted.output!r} is not {_is(wanted)}; correct --output")
    if not fitting:
        raise InputError(f"{source} gives {there}, of which nothing is {_is(wanted)}; let it give that")
    chosen = wanted.output or (name if name in fitting else fitting[0] if len(fitting) == 1 else "")
    if not chosen:
        raise InputError(
            f"{source} gives {there}, of which {' and '.join(fitting)} may be {_is(wanted)}; choose with --output NAME"
        )
    is_named = chosen == name and (wanted.task != "classification" or _is_class(outputs.get(CLASS)))
    is_plain = outputs[chosen].dtype == "float32" and len(outputs[chosen].shape) == 2
    one_unit = wanted.task == "classification" and outputs[chosen].shape[1:] == (1,)
    return "" if is_named and is_plain and not one_unit and wanted.activation == "none" else chosen


def _answers(tensor: Tensor, wanted: Wanted) -> bool:
    if tensor.dtype == "string" or np.dtype(tensor.dtype).kind != "f":
        return False
    wide = wanted.width
    if len(tensor.shape) == 2:
        is_wide = tensor.shape[1] is None or not wide or tensor.shape[1] == wide
        return is_wide or (wanted.task == "classification" and wide == 2 and tensor.shape[1] == 1)
    single = 2 if wanted.task == "classification" else 1
    return len(tensor.shape) == 1 and wanted.task != "multilabel" and wide in {0, single}


def _is_class(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.dtype == "int64" and len(tensor.shape) == 1


def _is(wanted: Wanted) -> str:
    what = {"classification": "class", "multilabel": "label"}.get(wanted.task, "target")
    number = "probability" if what != "target" else "number"
    return f"one {number} a {what}" + (f" ({wanted.width} of them)" if wanted.width else "")


def _kinds(tensors: Mapping[str, Tensor]) -> str:
    shown = [
        f"{name} {tensor.dtype}{['?' if n is None else n for n in tensor.shape[1:]]}".replace("'", "")
        for name, tensor in sorted(tensors.items())
    ]
    more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
    return f"{', '.join(shown[:8]) or 'nothing'}{more}"
