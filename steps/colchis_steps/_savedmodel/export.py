"""The export of a trained Keras model as a SavedModel that any server can run.

Writes  <directory>/saved_model.pb and what belongs to it; signature ``serving_default``: inputs are named after the
        feature columns with their raw dtypes, outputs are ``class`` int64 [rows] and ``probability`` float32
        [rows, classes]
"""

import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colchis_steps._formats.data import Column
from colchis_steps._savedmodel.library import load_tensorflow
from colchis_steps._savedmodel.warmup import write_warmup
from colchis_steps._step.errors import StepError

Signature = dict[str, dict[str, dict[str, Any]]]  # dtype and shape (null for the rows) by name of inputs and outputs


def export(model: Any, columns: Mapping[str, Column], directory: Path) -> None:
    """Write the SavedModel, over what is there."""
    import keras
    import tensorflow as tf

    shutil.rmtree(directory, ignore_errors=True)
    spec = {c.name: tf.TensorSpec([None, *c.shape], c.dtype, name=c.name) for c in columns.values()}

    def serve(features: dict[str, Any]) -> dict[str, Any]:
        probability = tf.cast(model(as_inputs(features), training=False), tf.float32)
        return {"class": tf.argmax(probability, axis=-1, output_type=tf.int64), "probability": probability}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve, input_signature=[spec])
    archive.write_out(str(directory), verbose=False)
    write_warmup(directory, spec)


def signature(directory: Path) -> Signature:
    """Load the SavedModel and return its signature."""
    tf = load_tensorflow()
    return _signature(tf.saved_model.load(str(directory)).signatures["serving_default"])


def check_export(model: Any, directory: Path, features: Mapping[str, Any], tolerance: float = 1e-4) -> Signature:
    """Load the SavedModel anew, compare its answer for some rows with the model's own, and return its signature.

    Raises:
        StepError: they differ.
    """
    import numpy as np
    import tensorflow as tf

    tensors = {name: tf.constant(values) for name, values in features.items()}
    loaded = tf.saved_model.load(str(directory))  # the signature alone does not keep the variables alive
    function = loaded.signatures["serving_default"]
    wanted = np.asarray(tf.cast(model(as_inputs(tensors), training=False), tf.float32))
    difference = float(np.max(np.abs(function(**tensors)["probability"].numpy() - wanted)))
    if not difference <= tolerance:
        raise StepError(f"the exported model differs from the trained one by {difference:g}; please report this")
    return _signature(function)


def frameworks() -> dict[str, str]:
    """Return the versions that made the model."""
    import keras
    import tensorflow as tf

    return {"tensorflow": tf.__version__, "keras": keras.__version__, "python": platform.python_version()}


def _signature(function: Any) -> Signature:
    return {
        "inputs": {name: _kind(spec) for name, spec in sorted(function.structured_input_signature[1].items())},
        "outputs": {name: _kind(spec) for name, spec in sorted(function.structured_outputs.items())},
    }


def _kind(spec: Any) -> dict[str, Any]:
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}


def as_inputs(features: dict[str, Any]) -> Any:
    """Return a model its features: a lone one as it is, several by name."""
    return next(iter(features.values())) if len(features) == 1 else features
