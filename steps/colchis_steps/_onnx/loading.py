"""An ONNX model in this process: its signature, its warm-up and its predictions. Importing it loads no onnxruntime.

A call computes in the thread that makes it, and so gives the same whatever number of processors there is: sums are not
cut by it. On another kind of processor the last digits may differ, as kernels are chosen by its instructions. Servers
and batches call from several threads.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from colchis_steps._onnx.refusals import refusal
from colchis_steps._step.errors import InputError
from colchis_steps._step.text import clip
from colchis_steps._tensors.described import described
from colchis_steps._tensors.formats import ONNX, ONNX_FILE
from colchis_steps._tensors.tensor import Arrays, ModelError, Tensor, ValuesError
from colchis_steps._tensors.warming import filled, warm

if TYPE_CHECKING:
    import numpy as np

LOOPS = {"Loop", "Scan", "If", "SequenceMap"}  # operators whose time hangs on the values they get
CLASSES = "colchis.classes"  # in the model's metadata: a JSON list of names
DTYPES = {  # onnxruntime's names of types that clients can send and read, and numpy's
    **{f"tensor({name})": name for name in ("bool", "int8", "int16", "int32", "int64", "string")},
    **{f"tensor({name})": name for name in ("uint8", "uint16", "uint32", "uint64")},
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}


class OnnxModel:
    """A loaded ONNX model, as ``Program`` describes it."""

    format = ONNX
    rows_apart = False

    def __init__(self, path: Path, source: str = "") -> None:
        """Load ``model.onnx`` in the directory, with the files of weights beside it that it names.

        ``source`` is what sentences call the model, and else the path.

        Raises:
            InputError: there is none, it is damaged, needs operators that are not here, or has an unusual type.
        """
        import onnxruntime
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

        self._of_values = InvalidArgument, Fail  # what it raises where it refuses the values
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong comes as an exception too
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        file, source = path / ONNX_FILE, source or str(path)
        if not file.is_file():
            raise InputError(f"{source} has no {ONNX_FILE}; give the directory of an ONNX model")
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its classes have no common base but this
            raise InputError(refusal(error, source, onnxruntime.__version__)) from error
        parts = self._session.get_provider_graph_assignment_info()
        self.steady = not any(node.op_type in LOOPS for part in parts for node in part.get_nodes())
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        for one in inputs:
            if one.type in DTYPES and not one.shape:
                raise InputError(
                    f"{source} takes {one.name} without a known shape; give it one that begins with a free number of "
                    "rows, and export it again"
                )
        self.inputs: Mapping[str, Tensor] = {one.name: _tensor(one, source) for one in inputs}
        self.outputs: Mapping[str, Tensor] = {one.name: _tensor(one, source) for one in outputs}
        self.classes = _classes(self._session.get_modelmeta().custom_metadata_map.get(CLASSES, "[]"), source)
        if not all(tensor.shape for tensor in self.outputs.values()):
            self.outputs = self._ranked()
        self.signature_def: Mapping[str, Any] = described(self.inputs, self.outputs)

    def _ranked(self) -> Mapping[str, Tensor]:
        """Return the outputs with as many lengths as an answer has, where the model says none."""
        try:
            found = self.predict({name: filled(tensor, 0) for name, tensor in self.inputs.items()})
        except (ValuesError, ModelError):
            return self.outputs
        return {
            name: replace(tensor, shape=tensor.shape or (None,) * found[name].ndim)
            for name, tensor in self.outputs.items()
        }

    def by_signature(self, name: str) -> None:
        """Return None: an ONNX model has one signature."""

    def predict(self, arrays: Arrays) -> "dict[str, np.ndarray[Any, Any]]":
        """Return the outputs for inputs that fit the signature.

        Raises:
            ValuesError: the model itself refuses the values.
            ModelError: it fails at them.
        """
        given = {name: _given(array) for name, array in arrays.items()}
        try:
            found = self._session.run(None, given)
        except self._of_values as error:
            raise ValuesError(f"the model refuses these values: {clip(error)}") from error
        except Exception as error:
            raise ModelError(f"the model fails ({clip(error)})") from error
        return {name: _found(array) for name, array in zip(self.outputs, found, strict=True)}

    def warm_up(self, pictures: Collection[str] = ()) -> bool:
        """Call the model on zeros and ones, and return whether it answers zeros; ``pictures`` are encoded ones."""
        answers, self.rows_apart = warm(self, pictures)
        return answers


def _tensor(one: Any, source: str) -> Tensor:
    if one.type not in DTYPES:
        raise InputError(
            f"{one.name} of {source} is {one.type}, which clients cannot send or read; let the model take and give "
            "tensors of numbers or text (skl2onnx: zipmap=False), and export it again"
        )
    return Tensor(one.name, DTYPES[one.type], tuple(n if isinstance(n, int) and n >= 0 else None for n in one.shape))


def _given(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return an array as onnxruntime takes it: it has text as str, and clients and data have it as bytes."""
    if array.dtype.kind not in "SO":
        return array
    try:
        return _each(lambda text: text.decode() if isinstance(text, bytes) else text, array)
    except UnicodeDecodeError as error:
        raise ValuesError(f"the model takes text in UTF-8, and one is other bytes ({error.reason})") from error


def _found(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return an array as a SavedModel gives it: text as bytes."""
    return array if array.dtype.kind != "O" else _each(str.encode, array)


def _each(convert: Callable[[Any], Any], texts: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return what is made of each text, as objects."""
    import numpy as np

    found = np.empty(texts.shape, object)
    found.reshape(-1)[:] = [convert(text) for text in texts.reshape(-1).tolist()]
    return found


def _classes(text: str, source: str) -> tuple[str, ...]:
    """Return the names of classes that the model's metadata have as JSON."""
    try:
        return msgspec.json.decode(text, type=tuple[str, ...])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InputError(
            f'{source} has {CLASSES} {text[:64]!r} in its metadata; give a list of names as JSON: ["no", "yes"]'
        ) from error
