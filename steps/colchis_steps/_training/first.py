"""What happens before the first step: the model sees a few rows, so that what cannot work is known at once.

All variables of model, optimizers and metrics are there afterwards, with the values that they begin with.
"""

import contextlib
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from colchis_steps._formats.data import Column, Task
from colchis_steps._savedmodel.export import check_export, export
from colchis_steps._savedmodel.outputs import Output, find_output, forward_of
from colchis_steps._step.errors import InputError, StepError
from colchis_steps._training.input import Rows
from colchis_steps._training.methods import Method, applying
from colchis_steps._training.reasons import reason
from colchis_steps._training.splits import labelled, overrides
from colchis_steps._training.steps import loss_of


def see(model: Any, rows: Rows, columns: Mapping[str, Column], task: Task, methods: Mapping[str, Method]) -> Output:
    """Call the model, its loss, metrics and own methods once, without training; return the output that is served.

    Raises:
        InputError: it does not take the rows, or gives nothing that the task asks for.
    """
    if model.jit_compile and not model._resolve_auto_jit_compile():
        raise InputError("the model is compiled with jit_compile=True, which is not done here; leave it out")
    kinds = ", ".join(f"{c.name} {c.dtype}{list(c.shape)}" for c in columns.values())
    remedy = "let its inputs be named, shaped and typed like them"
    if len(columns) == 1 and not hasattr(model, "inputs"):
        remedy = f"a lone column comes bare, not by name: {remedy}"
    with _said(f"the model does not take the data's features {kinds}", remedy):
        predictions = forward_of(model)(rows.inputs, training=False)
    width = len(task.classes) if task.kind == "classification" else math.prod(rows.labels.shape[1:])
    output = find_output(model, predictions, task.kind, width)
    if model.optimizer is not None and model.trainable_variables:
        model.optimizer.build(model.trainable_variables)
    part = labelled(rows.inputs, rows.labels, predictions)
    with _as_before(model):
        if "test_step" not in methods and is_judged(model):
            with _said("the model's loss or metrics fail on the data", "correct what it is compiled with"):
                loss_of(model)(*part, rows.weights, training=False)
                model.compute_metrics(*part, rows.weights)
        for name in methods:
            with _said(f"the model's {name} fails on the data", "correct the entry"):
                _dry(model, name, rows)
    return output


@contextlib.contextmanager
def _said(what: str, remedy: str) -> Iterator[None]:
    """Turn what the user's code raises, which may be anything, into a sentence."""
    try:
        yield
    except StepError:
        raise
    except Exception as error:
        raise InputError(f"{what}: {reason(error)}; {remedy}") from error


def is_judged(model: Any) -> bool:
    """Return whether the model has a loss: one whose ``train_step`` computes its own may have none."""
    return getattr(model, "loss", None) is not None or overrides(model, "compute_loss") or bool(model.losses)


def try_export(model: Any, rows: Rows, columns: Mapping[str, Column], output: Output, home: Path) -> None:
    """Export the untrained model and hold the export against it, so that no training is lost to what cannot be served.

    Raises:
        InputError: it cannot be exported, or cannot be served.
    """
    directory = home / "trial"
    try:
        with _said("the model trains, but cannot be exported to be served", "correct the entry"):
            export(model, columns, directory, output)
            check_export(model, directory, features_of(rows, columns), output)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def features_of(rows: Rows, columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return the model's inputs by column."""
    return {name: rows.inputs[name] if len(columns) > 1 else rows.inputs for name in columns}


def _dry(model: Any, name: str, rows: Rows) -> None:
    """Call a method of the model's own with optimizers that only make their variables."""

    def build(optimizer: Any) -> Any:
        def apply(_: Any, variables: Any = None) -> None:
            if not optimizer.built:
                optimizer.build(list(variables))

        return apply

    with applying(model, build):
        getattr(model, name)(rows.data)


@contextlib.contextmanager
def _as_before(model: Any) -> Iterator[None]:
    """Restore the variables that are not trained, and reset the metrics, at the end."""
    import tensorflow as tf

    before = [(variable, tf.identity(variable.value)) for variable in model.non_trainable_variables]
    yield
    for variable, value in before:
        variable.assign(value)
    model.reset_metrics()
