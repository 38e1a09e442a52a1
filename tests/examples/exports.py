"""What the examples' environments try of exports: what one gives, and the sentence of a refusal."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from colchis_steps._onnx.loading import OnnxModel
from colchis_steps._step.errors import InputError


def opened(write: Callable[..., object], model: Any, context: Any) -> OnnxModel:
    """Return what ``write`` exports of a model."""
    with tempfile.TemporaryDirectory() as directory:
        write(model, directory, context)
        return OnnxModel(Path(directory))


def refusal(exported: Callable[..., object], model: Any, *given: Any, **how: Any) -> str:
    """Return why a model is not exported. Raises AssertionError where it is."""
    try:
        exported(model, *given, **how)
    except InputError as error:
        return str(error)
    raise AssertionError(f"{model} is exported")
