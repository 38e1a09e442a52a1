"""What from_xgboost exports and what it refuses, run in the example's environment."""

import functools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.examples.exports import opened, refusal
from tests.steps._exporting.contexts import context, thirds

from colchis_steps.export import from_sklearn, from_xgboost

ROWS = thirds(200)
ROWS["age"][::7] = np.nan
CLASSES = ("a", "b", "c")
WHOLE = context(ROWS, classes=CLASSES)
NUMBERS = context({name: ROWS[name] for name in ("age", "rooms", "picture", "label")}, classes=CLASSES)
TABLE = pd.DataFrame({name: ROWS[name] for name in ("town", "age", "rooms")})
BOTH = ["rooms", "age"]  # in another order than the data's


def exported(model, given=WHOLE, export=from_xgboost):
    return opened(export, model, given)


refused = functools.partial(refusal, exported)


def test_tables_and_matrices_with_missing_values():
    model = xgboost.XGBClassifier(n_estimators=10).fit(TABLE[BOTH], ROWS["label"])
    found = exported(model)
    assert {name: one.dtype for name, one in found.inputs.items()} == {"age": "float64", "rooms": "int64"}
    assert list(model.get_booster().feature_names) == BOTH, "the user's model is as it was"
    exported(xgboost.XGBClassifier(n_estimators=10).fit(NUMBERS.matrix(ROWS), ROWS["label"]), NUMBERS)
    two = context({**ROWS, "label": (ROWS["label"] > 0).astype("int64")}, classes=("no", "yes"))
    assert exported(xgboost.XGBClassifier(n_estimators=10).fit(TABLE[BOTH], ROWS["label"] > 0), two).outputs[
        "probability"
    ].shape == (None, 2)
    numbers = context({**ROWS, "label": ROWS["rooms"] * 300.0}, task="regression")
    exported(xgboost.XGBRegressor(n_estimators=10).fit(TABLE[BOTH], ROWS["rooms"] * 300.0), numbers)


def test_a_pipeline_ends_in_trees():
    encoded = make_column_transformer((OneHotEncoder(sparse_output=False), ["town"]), ("passthrough", BOTH))
    model = make_pipeline(encoded, xgboost.XGBClassifier(n_estimators=10)).fit(TABLE, ROWS["label"])
    assert exported(model, export=from_sklearn).inputs.keys() == {"town", "age", "rooms"}


def test_refusals():
    booster = xgboost.train({}, xgboost.DMatrix(TABLE[BOTH], ROWS["label"]), 2)
    assert "a Booster is neither XGBClassifier nor XGBRegressor" in refused(booster)
    table = TABLE.assign(rooms=TABLE["rooms"].astype("category"))[BOTH]
    chosen = xgboost.XGBClassifier(n_estimators=5, enable_categorical=True).fit(table, ROWS["label"])
    assert "enable_categorical, which has no converter" in refused(chosen)
    linear = xgboost.XGBClassifier(n_estimators=5, booster="gblinear").fit(TABLE[BOTH].fillna(0), ROWS["label"])
    assert "has a part that cannot become ONNX" in refused(linear)
    forest = xgboost.XGBRFClassifier(n_estimators=5).fit(TABLE[BOTH], ROWS["label"])
    assert "differs in" in refused(forest)
    several = np.stack([ROWS["label"] == 0, ROWS["rooms"] > 4], 1).astype("uint8")
    given = context({**ROWS, "label": several}, task="multilabel", classes=("a", "b"))
    assert "differs in" in refused(xgboost.XGBClassifier(n_estimators=5).fit(TABLE[BOTH], several), given)


if __name__ == "__main__":
    for name, case in list(globals().items()):
        if name.startswith("test_"):
            case()
    print("held")
