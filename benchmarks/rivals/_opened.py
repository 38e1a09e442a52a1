"""What the rivals' servers call: the race's SavedModel or ONNX model as a function from rows to probabilities."""

from collections.abc import Callable
from pathlib import Path

import numpy as np


def opened(path: str) -> tuple[Callable[[np.ndarray], np.ndarray], type]:
    """Return the model in a directory, and the type of its values."""
    if (Path(path) / "model.onnx").exists():
        import onnxruntime

        session = onnxruntime.InferenceSession(f"{path}/model.onnx", providers=["CPUExecutionProvider"])
        return lambda rows: session.run(None, {"x": rows})[0], np.float32
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    function = loaded.signatures["serving_default"]

    def call(rows: np.ndarray, _keep: object = loaded) -> np.ndarray:
        return function(image=tf.constant(rows))["probability"].numpy()

    return call, np.uint8
