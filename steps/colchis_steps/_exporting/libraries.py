"""Libraries that are not Colchis's own, and what says that one is missing."""

import importlib
from typing import Any

from colchis_steps._step.errors import InputError

PACKAGES = {  # what to install, by what is exported
    "scikit-learn": "scikit-learn skl2onnx onnxruntime pandas",
    "XGBoost": "xgboost onnxmltools skl2onnx onnxruntime",
    "PyTorch": "torch onnx onnxscript onnxruntime",
}


def wanted(name: str, framework: str) -> Any:
    """Import a library.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is missing, which exports models of {framework}; install it with: "
            f"pip install {PACKAGES[framework]}"
        ) from error
