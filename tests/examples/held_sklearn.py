"""What from_sklearn exports and what it refuses, run in the example's environment."""

import functools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.examples.exports import opened, refusal
from tests.steps._exporting.contexts import context, thirds

from colchis_steps._step.errors import InputError
from colchis_steps.export import from_sklearn

ROWS = thirds(200)
CLASSES = ("Aea", "Phasis", "Dioscurias")
WHOLE = context(ROWS, classes=CLASSES)
NUMBERS = context({name: ROWS[name] for name in ("age", "rooms", "picture", "label")}, classes=CLASSES)
TABLE = pd.DataFrame({name: ROWS[name] for name in ("town", "age", "rooms")})
BOTH = ["age", "rooms"]


def after(*numbers, final=None):
    """Return a pipeline that encodes the town."""
    encoded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["town"]), (make_pipeline(*numbers), BOTH)
    )
    return make_pipeline(encoded, final if final is not None else LogisticRegression())


def exported(model, given=WHOLE):
    return opened(from_sklearn, model, given)


refused = functools.partial(refusal, exported)


def test_pipelines():
    for final in (
        LogisticRegression(),
        GradientBoostingClassifier(),
        CalibratedClassifierCV(LinearSVC()),
        GridSearchCV(LogisticRegression(), {"C": [1, 2]}),
    ):
        model = exported(after(SimpleImputer(), StandardScaler(), final=final).fit(TABLE, ROWS["label"]))
        assert {name: one.dtype for name, one in model.inputs.items()} == {
            "town": "string", "age": "float64", "rooms": "int64"
        }  # fmt: skip
        assert {name: one.shape for name, one in model.outputs.items()} == {"class": (None,), "probability": (None, 3)}
    exported(after(SimpleImputer(), final=RandomForestClassifier()).fit(TABLE, ROWS["label"]))
    whole = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["town", "rooms"]), ("passthrough", ["age"])
    )
    print("whole numbers by one-hot:", attempted(make_pipeline(whole, LogisticRegression()).fit(TABLE, ROWS["label"])))


def attempted(model, given=WHOLE):
    try:
        exported(model, given)
    except InputError as error:
        return str(error)
    return "exported"


def test_matrices_and_labels():
    matrix, rare = NUMBERS.matrix(ROWS), ROWS["label"] != 1
    exported(LogisticRegression(max_iter=2000).fit(matrix, ROWS["label"]), NUMBERS)
    known = exported(LogisticRegression(max_iter=2000).fit(matrix[rare], ROWS["label"][rare]), NUMBERS)
    assert not known.predict({name: ROWS[name] for name in known.inputs})["probability"][:, 1].any()
    words = np.array(CLASSES)[ROWS["label"]]  # in another order than the alphabet's
    exported(LogisticRegression(max_iter=2000).fit(matrix, words), NUMBERS)
    numbers = context({"age": ROWS["age"], "label": ROWS["age"] * 2}, task="regression")
    model = exported(LinearRegression().fit(TABLE[["age"]], numbers.rows("train")["label"]), numbers)
    assert model.outputs["value"].shape == (None, 1)
    two = context({"age": ROWS["age"], "label": np.stack([ROWS["age"], -ROWS["age"]], 1)}, task="regression")
    model = exported(LinearRegression().fit(TABLE[["age"]], two.rows("train")["label"]), two)
    assert model.outputs["value"].shape == (None, 2)


def test_several_labels():
    labels = np.stack([ROWS["label"] == 0, ROWS["rooms"] > 4], 1).astype("uint8")
    several = context(
        {"age": ROWS["age"], "rooms": ROWS["rooms"], "label": labels}, task="multilabel", classes=("a", "b")
    )
    model = exported(OneVsRestClassifier(LogisticRegression()).fit(TABLE[BOTH], labels), several)
    assert model.outputs["probability"].shape == (None, 2)
    print("a forest of several labels:", attempted(RandomForestClassifier().fit(TABLE[BOTH], labels), several))


def test_refusals():
    votes = VotingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier())], voting="soft")
    said = refused(after(SimpleImputer(), final=votes).fit(TABLE, ROWS["label"]))
    assert "has a part that cannot become ONNX (flatten_transform==True is not implemented yet" in said, said
    forest = after(SimpleImputer(), StandardScaler(), final=RandomForestClassifier(random_state=0))
    noisy = np.random.default_rng(1).integers(0, 3, len(ROWS["label"]))
    said = refused(forest.fit(TABLE, noisy))
    assert "leave scaling out before trees" in said, said


if __name__ == "__main__":
    for name, case in list(globals().items()):
        if name.startswith("test_"):
            case()
    print("held")
