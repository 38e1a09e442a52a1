"""Open a model of any format. Importing this loads neither TensorFlow nor onnxruntime."""

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from colchis_steps._step.errors import InputError
from colchis_steps._tensors.formats import FORMATS_IN_WORDS, ONNX, SAVED_MODEL, format_of
from colchis_steps._tensors.tensor import Program

PACKAGES = {ONNX: ("onnxruntime", "onnx"), SAVED_MODEL: ("tensorflow", "serve")}  # what runs it, and our extra


def open_model(directory: Path, allowed: Collection[str] | None = (), source: str = "") -> Program:
    """Load the model that lies in a directory.

    ``allowed`` names TensorFlow's operations that may reach out of the model; None allows all. ``source`` is what
    sentences call the model, and else the directory.

    Raises:
        InputError: there is none, it cannot be loaded or asked, or what runs its format is not installed.
    """
    source = source or str(directory)
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    kind = format_of(names, source)
    if not is_installed(kind):
        package, extra = PACKAGES[kind]
        raise InputError(
            f"{source} is of the format {FORMATS_IN_WORDS[kind]}, and {package} is not installed; install it with: "
            f"pip install 'colchis[{extra}]'"
        )
    if kind == ONNX:
        from colchis_steps._onnx.loading import OnnxModel

        return OnnxModel(directory, source)
    from colchis_steps._savedmodel.loading import SavedModel

    return SavedModel(directory, allowed, source)


def is_installed(kind: str) -> bool:
    """Return whether what runs a format is installed here; it is not imported for that."""
    return find_spec(PACKAGES[kind][0]) is not None
