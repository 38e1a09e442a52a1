"""The export of a trained Keras model as a SavedModel that any server can run.

Writes  <directory>/saved_model.pb and what belongs to it; signature ``serving_default``: inputs are named after the
        columns that the model takes, with their raw dtypes; outputs are those of the task (see ``outputs``), and the
        model's further outputs by their names
"""

import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colchis_steps._formats.data import Column
from colchis_steps._savedmodel.loading import SavedModel
from colchis_steps._savedmodel.outputs import Output, forward_of, slack
from colchis_steps._savedmodel.warmup import FILE as WARMUP
from colchis_steps._savedmodel.warmup import write_warmup
from colchis_steps._step.errors import InputError, StepError
from colchis_steps._tensors.described import Signature, listed
from colchis_steps._tensors.probabilities import improper, in_words
from colchis_steps._tensors.tensor import tensor_dtype


def export(model: Any, columns: Mapping[str, Column], directory: Path, output: Output) -> None:
    """Write the SavedModel, over what is there."""
    import keras
    import tensorflow as tf

    shutil.rmtree(directory, ignore_errors=True)
    spec = {c.name: tf.TensorSpec([None, *c.shape], tensor_dtype(c.dtype), name=c.name) for c in columns.values()}
    forward = forward_of(model)

    def serve(features: dict[str, Any]) -> dict[str, Any]:
        return output.served(model, forward(as_inputs(features), training=False))

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve, input_signature=[spec])
    archive.write_out(str(directory), verbose=False)
    write_warmup(directory, spec)


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
    served = output.served(model, forward_of(model)(as_inputs(tensors), training=False))
    actual = loaded.predict({name: np.asarray(tensor.numpy()) for name, tensor in tensors.items()})
    for name, tensor in served.items():
        if tensor.dtype.is_floating:
            _check_alike(name, actual[name], tensor.numpy(), slack(model))
    wanted = served["probability"].numpy() if "probability" in served and output.task else None
    if wanted is not None and (row := improper(wanted, one=output.task == "classification")) is not None:
        raise InputError(
            f"the model's output{f' {output.name!r}' if output.name else ''} has rows like {in_words(wanted[row])}, "
            f"not probabilities; end it with a {'softmax' if output.task == 'classification' else 'sigmoid'}, "
            "or let its loss have from_logits=True"
        )
    return listed(loaded.inputs, loaded.outputs)


def _check_alike(name: str, actual: Any, wanted: Any, tolerated: float) -> None:
    """Raise StepError where two outputs differ by more than is tolerated of the greatest value, or of 1."""
    import numpy as np

    if actual.shape != wanted.shape:
        raise StepError(f"the exported model gives {name} {actual.shape} instead of {wanted.shape}; please report this")
    finite = np.abs(wanted[np.isfinite(wanted)])
    if not np.allclose(actual, wanted, rtol=0, atol=tolerated * max(1.0, finite.max(initial=0.0)), equal_nan=True):
        difference = float(np.nanmax(np.abs(actual - wanted)))
        raise StepError(f"the exported model differs from the trained one by {difference:g}; please report this")


def frameworks() -> dict[str, str]:
    """Return the versions that made the model."""
    import keras
    import tensorflow as tf

    return {"tensorflow": tf.__version__, "keras": keras.__version__, "python": platform.python_version()}


def as_inputs(features: dict[str, Any]) -> Any:
    """Return a model its features: a lone one as it is, several by name."""
    return next(iter(features.values())) if len(features) == 1 else features
