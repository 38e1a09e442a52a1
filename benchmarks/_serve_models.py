"""The models that race `serve` serves: a SavedModel, and a model of scikit-learn with the same in ONNX."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[Any], Any]


def saved_model(directory: Path) -> tuple[Call, Any]:
    """Write 8x8 grey values, a hidden layer of 128, ten probabilities; return the call, and 64 rows."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(7)
    image = keras.Input((8, 8), dtype="uint8", name="image")
    hidden = keras.layers.Dense(128, activation="relu")(keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(image)))
    model = keras.Model(image, keras.layers.Dense(10, activation="softmax")(hidden))
    archive = keras.export.ExportArchive()
    archive.track(model)
    spec = [tf.TensorSpec([None, 8, 8], tf.uint8, name="image")]
    archive.add_endpoint("serving_default", lambda image: {"probability": model(image)}, input_signature=spec)
    archive.write_out(str(directory), verbose=False)
    loaded = tf.saved_model.load(str(directory))
    function = loaded.signatures["serving_default"]

    def call(rows: Any, _keep: Any = loaded) -> Any:
        return function(image=tf.constant(rows))["probability"].numpy()

    return call, np.random.default_rng(7).integers(0, 17, (64, 8, 8), np.uint8)


def onnx_model(directory: Path) -> tuple[Call, Any]:
    """Write 64 numbers, a hidden layer of 128, ten probabilities, trained on scikit-learn's digits.

    ``model.onnx`` is what ours and most rivals serve, ``model.joblib`` what mlserver's runtime of scikit-learn does.
    """
    import joblib
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    digits = load_digits()
    rows = digits.data.astype(np.float32)
    model = MLPClassifier((128,), random_state=7, max_iter=40, tol=0.05, n_iter_no_change=3).fit(rows, digits.target)
    weights = {"w0": model.coefs_[0], "b0": model.intercepts_[0], "w1": model.coefs_[1], "b1": model.intercepts_[1]}
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w0", "b0"], ["h0"]),
            helper.make_node("Relu", ["h0"], ["h1"]),
            helper.make_node("Gemm", ["h1", "w1", "b1"], ["h2"]),
            helper.make_node("Softmax", ["h2"], ["probability"], axis=1),
        ],
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    directory.mkdir()
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), directory / "model.onnx"
    )
    joblib.dump(model, directory / "model.joblib")
    session = onnxruntime.InferenceSession(str(directory / "model.onnx"), providers=["CPUExecutionProvider"])
    return lambda some: session.run(None, {"x": some})[0], rows[:64]
