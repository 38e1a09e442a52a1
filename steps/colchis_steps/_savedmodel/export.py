"""The export of a trained Keras model as a SavedModel that any server can run.

Writes  <directory>/saved_model.pb and what belongs to it; signature ``serving_default``: inputs are named after the
        columns that the model takes, with their raw dtypes; outputs are ``class`` int64 [rows] and ``probability``
        float32 [rows, classes], and the model's further outputs by their names
"""

import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colchis_steps._formats.data import Column
from colchis_steps._savedmodel.library import load_tensorflow
from colchis_steps._savedmodel.loading import SavedModel
from colchis_steps._savedmodel.outputs import Output, forward_of, improper, in_words, named, slack, tensor_dtype
from colchis_steps._savedmodel.warmup import FILE as WARMUP
from colchis_steps._savedmodel.warmup import write_warmup
from colchis_steps._step.errors import InputError, StepError

Signature = dict[str, dict[str, dict[str, Any]]]  # dtype and shape (null for the rows) by name of inputs and outputs


def export(model: Any, columns: Mapping[str, Column], directory: Path, output: Output) -> None:
    """Write the SavedModel, over what is there."""
    import keras
    import tensorflow as tf

    shutil.rmtree(directory, ignore_errors=True)
    spec = {c.name: tf.TensorSpec([None, *c.shape], tensor_dtype(c.dtype), name=c.name) for c in columns.values()}
    forward = forward_of(model)

    def serve(features: dict[str, Any]) -> dict[str, Any]:
        predictions = forward(as_inputs(features), training=False)
        found = {other.name: other.of(predictions) for other in named(model, predictions) if other.key != output.key}
        probability = output.probabilities(predictions)
        return {
            name: tf.cast(value, tf.float32) if value.dtype.is_floating else value for name, value in found.items()
        } | {
            "class": tf.argmax(probability, axis=-1, output_type=tf.int64),
            "probability": probability,
        }

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve, input_signature=[spec])
    archive.write_out(str(directory), verbose=False)
    write_warmup(directory, spec)


def signature(directory: Path) -> Signature:
    """Load the SavedModel and return its signature."""
    tf = load_tensorflow()
    function = tf.saved_model.load(str(directory)).signatures["serving_default"]
    return {
        "inputs": {name: _kind(spec) for name, spec in sorted(function.structured_input_signature[1].items())},
        "outputs": {name: _kind(spec) for name, spec in sorted(function.structured_outputs.items())},
    }


def check_export(model: Any, directory: Path, features: Mapping[str, Any], output: Output) -> Signature:
    """Load the SavedModel as a server does, compare its answer for some rows with the model's; return the signature.

    Raises:
        InputError: a server cannot take it, or what it calls probabilities are none.
        StepError: the answers differ by more than the model's dtype explains.
    """
    import numpy as np
    import tensorflow as tf

    loaded = SavedModel(directory, allowed=None)
    if not loaded.warm_up():
        (directory / WARMUP).unlink()  # TensorFlow Serving does not load a model that refuses its own warm-up
    tensors = {name: tf.constant(values) for name, values in features.items()}
    wanted = output.probabilities(forward_of(model)(as_inputs(tensors), training=False)).numpy()
    actual = loaded.predict({name: np.asarray(tensor.numpy()) for name, tensor in tensors.items()})["probability"]
    if actual.shape != wanted.shape:
        raise StepError(f"the exported model gives {actual.shape} instead of {wanted.shape}; please report this")
    if not np.allclose(actual, wanted, rtol=0, atol=slack(model), equal_nan=True):
        difference = float(np.nanmax(np.abs(actual - wanted)))
        raise StepError(f"the exported model differs from the trained one by {difference:g}; please report this")
    if (row := improper(wanted)) is not None:
        raise InputError(
            f"the model's output{f' {output.name!r}' if output.name else ''} has rows like {in_words(wanted[row])}, "
            "not probabilities; end it with a softmax, or let its loss have from_logits=True"
        )
    kinds = {"inputs": loaded.inputs, "outputs": loaded.outputs}
    return {
        kind: {name: {"dtype": tensor.dtype, "shape": list(tensor.shape)} for name, tensor in tensors.items()}
        for kind, tensors in kinds.items()
    }


def frameworks() -> dict[str, str]:
    """Return the versions that made the model."""
    import keras
    import tensorflow as tf

    return {"tensorflow": tf.__version__, "keras": keras.__version__, "python": platform.python_version()}


def _kind(spec: Any) -> dict[str, Any]:
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}


def as_inputs(features: dict[str, Any]) -> Any:
    """Return a model its features: a lone one as it is, several by name."""
    return next(iter(features.values())) if len(features) == 1 else features
