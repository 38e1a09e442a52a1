"""scikit-learn's and XGBoost's estimators as ONNX by skl2onnx and onnxmltools; text comes [rows, 1], else float32."""

import copy
import sys
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from colchis_steps._exporting.frame import ML_OPSET, OPSET, Feed
from colchis_steps._exporting.libraries import wanted
from colchis_steps._formats.data import Column
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import tensor_dtype

XGBOOST_OPSET = 15  # the newest that onnxmltools has


def convert(model: Any, feeds: Sequence[Feed], columns: Mapping[str, Column]) -> Any:
    """Return scikit-learn's estimator or pipeline as an ``onnx.ModelProto`` with the inputs of the feeds.

    Raises:
        InputError: a part has no converter.
    """
    skl2onnx = wanted("skl2onnx", "scikit-learn")
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    if "xgboost" in sys.modules:
        _know_xgboost()
    types = []
    for feed in feeds:
        text = tensor_dtype(columns[feed.columns[0]].dtype) == "string"
        types.append(
            (feed.name, StringTensorType([None, 1]) if text else FloatTensorType([None, _wide(feed, columns)]))
        )
    final = model.steps[-1][1] if hasattr(model, "steps") else model
    options = {id(final): {"zipmap": False}} if hasattr(final, "classes_") else {}
    opset = {"": OPSET, "ai.onnx.ml": ML_OPSET}
    try:
        return skl2onnx.convert_sklearn(model, initial_types=types, options=options, target_opset=opset)
    except Exception as error:  # what it raises has no common base but this
        raise _no_way(model, error) from error


def check_numbers(model: Any) -> None:
    """Raise InputError where XGBoost's estimator takes categories."""
    if "c" in (model.get_booster().feature_types or ()):
        raise InputError(
            "the model was fitted with enable_categorical, which has no converter; encode categories as numbers first"
        )


def convert_xgboost(model: Any, feed: Feed, columns: Mapping[str, Column]) -> Any:
    """Return XGBoost's estimator as an ``onnx.ModelProto`` with the input of the feed, float32 [rows, numbers].

    Raises:
        InputError: it has no converter.
    """
    onnxmltools = wanted("onnxmltools", "XGBoost")
    from onnxmltools.convert.common.data_types import FloatTensorType

    model = copy.deepcopy(model)
    model.get_booster().feature_names = None  # the converter reads f0, f1, …
    types = [(feed.name, FloatTensorType([None, _wide(feed, columns)]))]
    try:
        return onnxmltools.convert_xgboost(model, initial_types=types, target_opset=XGBOOST_OPSET)
    except Exception as error:  # the same
        raise _no_way(model, error) from error


def _know_xgboost() -> None:
    """Let skl2onnx convert pipelines that end in XGBoost's estimators."""
    skl2onnx = wanted("skl2onnx", "scikit-learn")
    wanted("onnxmltools", "XGBoost")
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as converter
    from skl2onnx.common import shape_calculator
    from xgboost import XGBClassifier, XGBRegressor

    classes = shape_calculator.calculate_linear_classifier_output_shapes
    numbers = shape_calculator.calculate_linear_regressor_output_shapes
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    skl2onnx.update_registered_converter(XGBClassifier, "ColchisXGBClassifier", classes, converter, options=options)
    skl2onnx.update_registered_converter(XGBRegressor, "ColchisXGBRegressor", numbers, converter)


def _wide(feed: Feed, columns: Mapping[str, Column]) -> int:
    return sum(max(1, prod(columns[name].shape)) for name in feed.columns)


def _no_way(model: Any, error: BaseException) -> InputError:
    told = " ".join(str(error).split())[:200]
    return InputError(f"{type(model).__name__} has a part that cannot become ONNX ({told}); put another in its place")
