"""scikit-learn's estimators, and XGBoost's of that kind, as ONNX with names of columns."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._exporting.checking import some_rows, write_checked
from colchis_steps._exporting.converting import check_numbers, convert, convert_xgboost
from colchis_steps._exporting.frame import Answer, Feed, framed
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import tensor_dtype
from colchis_steps.context import Context

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
    Rows = Mapping[str, Array]


def export_estimator(model: Any, directory: Path, context: Context, *, boosted: bool) -> None:
    """Write a fitted estimator's ``model.onnx``; ``boosted``: it is XGBoost's own, not a pipeline around it.

    Raises:
        InputError: see ``colchis_steps.export``.
    """
    task = context.task.kind
    if task not in {"classification", "multilabel", "regression"}:
        raise InputError(f"the task is {task}, and an estimator gives classes or numbers; use a module of PyTorch")
    model = getattr(model, "best_estimator_", model)
    named = _named(model)
    if boosted:
        check_numbers(model)
    columns = named or tuple(context.columns)
    _check_columns(model, columns, context, named=bool(named))
    if task != "regression" and not hasattr(model, "predict_proba"):
        raise InputError(
            f"{type(model).__name__} gives no probabilities; wrap it in sklearn.calibration.CalibratedClassifierCV"
        )
    rows = some_rows(context)

    def table(given: "Rows") -> Any:
        if not named:
            return context.matrix(given)
        import pandas as pd

        return pd.DataFrame({name: given[name] for name in columns})

    places = _places(model, context) if task == "classification" else None

    def own(given: "Rows") -> "dict[str, Array]":
        return _own(model, table(given), task, places, len(context.classes))

    answers = own(rows)
    width = next(iter(answers.values())).shape[1]
    apart = bool(named) and not boosted and _takes_names(model)
    feeds = [Feed(name, (name,)) for name in columns] if apart else [Feed("X", columns)]
    core = convert_xgboost(model, feeds[0], context.columns) if boosted else convert(model, feeds, context.columns)
    output = core.graph.output[-1].name  # a classifier's labels are before its probabilities
    made = framed(core, feeds, Answer(task, output, width, places=places), context.columns, context.classes)
    write_checked(made, directory, rows, own, task)


def _named(model: Any) -> tuple[str, ...]:
    """Return the names of the columns on which the model was fitted; none where that was a matrix.

    Raises:
        InputError: it was not fitted.
    """
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError) as error:
        raise InputError(f"{type(model).__name__} is not fitted ({error}); call fit, then export it") from error
    try:
        names = getattr(model, "feature_names_in_", None)
    except AttributeError:  # XGBoost's, of a matrix
        names = None
    return tuple(map(str, names)) if names is not None else ()


def _takes_names(model: Any) -> bool:
    """Return whether the model's first part is one that chooses columns by name."""
    from sklearn.compose import ColumnTransformer

    while hasattr(model, "steps"):
        model = model.steps[0][1]
    return isinstance(model, ColumnTransformer)


def _check_columns(model: Any, columns: Sequence[str], context: Context, *, named: bool) -> None:
    kinds = context.columns
    if unknown := [name for name in columns if name not in kinds]:
        raise InputError(
            f"the model was fitted on {unknown[0]!r}, and the data's features are {', '.join(kinds)}; "
            "fit it on these, and let what is derived from them be part of the pipeline"
        )
    for name in columns:
        if kinds[name].dtype == "bytes" or (tensor_dtype(kinds[name].dtype) == "string" and not named):
            raise InputError(
                f"the column {name!r} is {kinds[name].dtype}, which a matrix does not hold; fit a pipeline on "
                "pandas.DataFrame(context.rows('train')), with columns that it encodes, or leave it out"
            )
        if named and kinds[name].shape:
            raise InputError(
                f"the column {name!r} has rows of {list(kinds[name].shape)}, which a table does not hold; fit "
                "the model on context.matrix(context.rows('train'))"
            )
    text = {tensor_dtype(kinds[name].dtype) == "string" for name in columns}
    if len(text) > 1 and not _takes_names(model):
        raise InputError(
            f"{type(model).__name__} takes text and numbers alike; begin a pipeline with a ColumnTransformer, which "
            "says what becomes of each column"
        )
    wide = sum(max(1, prod(kinds[name].shape)) for name in columns)
    if not named and wide != (expected := getattr(model, "n_features_in_", wide)):
        raise InputError(
            f"the model was fitted on {expected} unnamed columns, and the data's features are {wide} side by side; fit "
            "it on context.matrix(rows), or on a pandas.DataFrame, which has names"
        )


def _places(model: Any, context: Context) -> tuple[int, ...] | None:
    """Return the number of the class that each of the model's classes is; None where they are all, in order."""
    names = list(context.classes)
    found = []
    for one in model.classes_.tolist():
        number = names.index(one) if isinstance(one, str) and one in names else one
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(names):
            raise InputError(
                f"the model tells the class {one!r}, and the data have {', '.join(names[:8])}; fit it on the labels of "
                f"context.rows('train')[{context.label!r}], which are numbers from 0"
            )
        found.append(number)
    return tuple(found) if found != list(range(len(names))) else None


def _own(model: Any, table: Any, task: str, places: Sequence[int] | None, classes: int) -> "dict[str, Array]":
    """Return what the model itself answers, as it is to be served."""
    import numpy as np

    if task == "regression":
        value = np.asarray(model.predict(table), np.float32)
        return {"value": value.reshape(len(value), -1)}
    given = model.predict_proba(table)
    if isinstance(given, list):  # a label's [rows, 2] after another's
        given = np.stack([one[:, -1] for one in given], axis=1)
    found = np.asarray(given, np.float32)
    if places is not None:
        whole = np.zeros((len(found), classes), np.float32)
        whole[:, list(places)] = found
        found = whole
    if found.shape[1:] != (classes,):
        raise InputError(f"the model gives probabilities {list(found.shape)}, and the data have {classes} classes")
    return {"probability": found}
