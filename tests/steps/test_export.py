"""The exports' refusals that need no library of others; tests/examples has the rest, in environments of their own."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC
from tests.steps._exporting.contexts import context, thirds

from colchis_steps._step.errors import InputError
from colchis_steps.export import from_sklearn, from_torch, from_xgboost

ROWS = thirds()
CONTEXT = context(ROWS, classes=("a", "b", "c"))
NUMBERS = context({name: ROWS[name] for name in ("age", "rooms", "picture", "label")}, classes=("a", "b", "c"))
TABLE = pd.DataFrame({name: ROWS[name] for name in ("age", "rooms")})


def fitted(kind: Any, table: Any, labels: Any = ROWS["label"]) -> Any:
    return kind.fit(table, labels)


@pytest.mark.parametrize(
    ("model", "given", "says"),
    [
        (LogisticRegression(), CONTEXT, "LogisticRegression is not fitted"),
        (make_pipeline(OneHotEncoder(), LogisticRegression()), CONTEXT, "Pipeline is not fitted"),
        (fitted(LogisticRegression(), TABLE.rename(columns={"age": "years"})), CONTEXT,
         "the model was fitted on 'years', and the data's features are town, age, rooms, picture"),
        (fitted(LogisticRegression(), TABLE.to_numpy()), CONTEXT, "the column 'town' is str, which a matrix"),
        (fitted(LogisticRegression(), TABLE.to_numpy()), NUMBERS, "2 unnamed columns, and the data's features are 8"),
        (fitted(LogisticRegression(), pd.DataFrame({"picture": ROWS["age"]})), CONTEXT, "'picture' has rows of [2, 3]"),
        (fitted(LinearSVC(), TABLE), CONTEXT, "LinearSVC gives no probabilities; wrap it in"),
        (fitted(LogisticRegression(), TABLE, ROWS["town"]), CONTEXT, "tells the class 'Aea', and the data have a, b"),
        (fitted(LogisticRegression(), TABLE, ROWS["label"] + 1), CONTEXT, "tells the class 3, and the data have"),
        (fitted(LogisticRegression(), TABLE), context(ROWS, task="none"), "the task is none"),
    ],
    ids=["unfitted", "unfitted pipeline", "no column", "text in a matrix", "another width", "rows of a table",
         "no probabilities", "words as labels", "labels from 1", "no task"],
)  # fmt: skip
def test_what_cannot_be_exported_is_said_in_a_sentence(tmp_path: Path, model: Any, given: Any, says: str) -> None:
    with pytest.raises(InputError) as refused:
        from_sklearn(model, tmp_path, given)
    assert says in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("export", "library", "says"),
    [
        (
            from_sklearn,
            "skl2onnx",
            "skl2onnx is missing, which exports models of scikit-learn; install it with: pip install",
        ),
        (from_xgboost, "xgboost", "xgboost is missing, which exports models of XGBoost; install it with: pip install"),
        (from_torch, "torch", "torch is missing, which exports models of PyTorch; install it with: pip install torch"),
    ],
    ids=["scikit-learn", "xgboost", "pytorch"],
)
def test_a_library_that_is_missing_is_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, export: Any, library: str, says: str
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **others: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)
        return real(name, *more, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("importlib.import_module", without)
    with pytest.raises(InputError) as refused:
        export(fitted(LogisticRegression(), TABLE), tmp_path, CONTEXT)
    assert says in str(refused.value)


def test_rows_and_matrices_of_a_context() -> None:
    assert CONTEXT.rows("train")["age"].tolist() == ROWS["age"].tolist()
    matrix = NUMBERS.matrix(ROWS)
    assert (matrix.shape, str(matrix.dtype)) == ((60, 8), "float32")
    assert matrix[7].tolist() == [
        *np.array([ROWS["age"][7], ROWS["rooms"][7], *ROWS["picture"][7].ravel()], np.float32)
    ]
    with pytest.raises(InputError, match="the column 'town' is str, which a matrix does not hold"):
        CONTEXT.matrix(ROWS)
