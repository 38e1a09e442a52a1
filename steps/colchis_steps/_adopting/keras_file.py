"""A ``.keras`` file as a SavedModel: its layers are Keras's own or refused, and no lambda of it is ever read."""

from pathlib import Path

from colchis_steps._savedmodel.library import load_tensorflow
from colchis_steps._savedmodel.outputs import Output, activation_of, loss_for
from colchis_steps._step.errors import InputError
from colchis_steps._step.text import clip


def export(file: Path, source: str, directory: Path) -> str:
    """Write the model in the file as a SavedModel; return the activation that its loss says its output lacks.

    Raises:
        InputError: it is damaged, has layers that are not Keras's own, or cannot be exported.
    """
    tf = load_tensorflow()
    import keras

    try:
        model = keras.saving.load_model(file, safe_mode=True)
    except Exception as error:  # by layer, whatever its code meets
        raise InputError(
            f"{source} is not loaded by Keras {keras.__version__} ({clip(error)}); where it was made, store it with "
            "model.export(directory), which needs no code of its layers, and give that directory"
        ) from error
    try:
        model.export(str(directory), verbose=False)
    except (ValueError, TypeError, AttributeError, NotImplementedError, tf.errors.OpError) as error:
        raise InputError(
            f"{source} cannot be exported by Keras {keras.__version__} ({clip(error)}); let it be built, and its call "
            "be of TensorFlow's operations"
        ) from error
    shapes = model.output_shape if isinstance(getattr(model, "output_shape", None), tuple) else ()
    units = shapes[-1] if shapes and isinstance(shapes[-1], int) else 0
    return activation_of(loss_for(model, Output(), 0), units) if units else ""
