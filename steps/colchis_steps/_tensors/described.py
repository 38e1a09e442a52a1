"""A signature written down: as TensorFlow Serving's REST API describes it, and as a candidate's document has it."""

from collections.abc import Mapping
from typing import Any

from colchis_steps._tensors.tensor import SIGNATURE, Tensor

Signature = dict[str, dict[str, dict[str, Any]]]  # dtype and shape (null: any length) by name of inputs and outputs
METHOD = "tensorflow/serving/predict"
NAMES = {"float16": "DT_HALF", "float32": "DT_FLOAT", "float64": "DT_DOUBLE"}


def described(inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return ``{"serving_default": {"inputs": …, "outputs": …, "method_name": …}}``; a free length is ``-1``."""
    kinds = {"inputs": inputs, "outputs": outputs}
    found = {kind: {name: _info(tensor) for name, tensor in tensors.items()} for kind, tensors in kinds.items()}
    return {SIGNATURE: {**found, "method_name": METHOD}}


def listed(inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Signature:
    """Return dtype and shape of each input and output, as a candidate's document has them."""
    kinds = {"inputs": inputs, "outputs": outputs}
    return {
        kind: {name: {"dtype": tensor.dtype, "shape": list(tensor.shape)} for name, tensor in sorted(tensors.items())}
        for kind, tensors in kinds.items()
    }


def _info(tensor: Tensor) -> dict[str, Any]:
    sizes = [{"size": str(-1 if length is None else length), "name": ""} for length in tensor.shape]
    return {
        "name": f"{tensor.name}:0",
        "dtype": NAMES.get(tensor.dtype, f"DT_{tensor.dtype.upper()}"),
        "tensor_shape": {"dim": sizes, "unknown_rank": False},
    }
