"""The export of models of scikit-learn, XGBoost and PyTorch, for a command's program: ONNX that the gate can judge.

Each function writes ``model.onnx`` into a directory, ``context.export`` in a training. Its inputs are the columns that
the model takes, of their dtypes and shapes; its outputs are those of the task:

classification  ``class`` int64 [rows] and ``probability`` float32 [rows, classes]
multilabel      ``probability`` float32 [rows, labels]
regression      ``value`` float32 [rows, targets]

The names of the classes stand in its metadata, as ``colchis.classes``. Up to 256 rows of the split eval are asked of
the file and of the model itself, whose answers may differ by 1e-4 of the greatest number, or of 1.

All of them raise ``InputError``: a library is missing, the model is not fitted or has a part that cannot become ONNX,
it takes what is no column of the data or gives what the task does not ask for, or the answers differ.
"""

from pathlib import Path
from typing import Any

from colchis_steps._exporting.estimators import export_estimator
from colchis_steps._exporting.libraries import wanted
from colchis_steps._exporting.modules import export_module
from colchis_steps._step.errors import InputError
from colchis_steps.context import Context


def from_sklearn(model: Any, directory: str | Path, context: Context) -> None:
    """Write a fitted estimator or pipeline of scikit-learn, which may end in XGBoost's.

    One fitted on a ``pandas.DataFrame`` takes the columns that it names; one fitted on a matrix takes all features, as
    ``context.matrix(rows)`` puts them side by side. Labels are the numbers of classes, or their names.
    """
    wanted("sklearn", "scikit-learn")
    export_estimator(model, Path(directory), context, boosted=False)


def from_xgboost(model: Any, directory: str | Path, context: Context) -> None:
    """Write a fitted ``XGBClassifier`` or ``XGBRegressor``; its columns are as those of ``from_sklearn``."""
    xgboost = wanted("xgboost", "XGBoost")
    if not isinstance(model, xgboost.XGBClassifier | xgboost.XGBRegressor):
        raise InputError(
            f"a {type(model).__name__} is neither XGBClassifier nor XGBRegressor; fit one, as it knows its task"
        )
    export_estimator(model, Path(directory), context, boosted=True)


def from_torch(model: Any, directory: str | Path, context: Context, *, logits: bool = False) -> None:
    """Write a ``torch.nn.Module``.

    Its ``forward`` takes tensors of columns by the names of its parameters, in the columns' dtypes, or one parameter of
    another name: all features, as ``context.matrix(rows)`` puts them side by side. It gives probabilities, or logits
    where ``logits`` says so: their softmax is served, of several labels or a lone unit their sigmoid.
    """
    export_module(model, Path(directory), context, logits=logits)
