"""A SavedModel in this process: its signature, its warm-up and its predictions. Importing this needs no TensorFlow."""

import copy
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from colchis_steps._savedmodel.checking import check_operations, is_steady, read_graph
from colchis_steps._savedmodel.library import load_tensorflow
from colchis_steps._step.errors import InputError
from colchis_steps._step.text import clip
from colchis_steps._tensors.formats import SAVED_MODEL
from colchis_steps._tensors.tensor import SIGNATURE, Arrays, ModelError, Tensor, ValuesError
from colchis_steps._tensors.warming import warm


class SavedModel:
    """A loaded SavedModel, as ``Program`` describes it."""

    format = SAVED_MODEL
    classes: tuple[str, ...] = ()
    rows_apart = False

    def __init__(self, path: Path, allowed: Collection[str] | None = (), source: str = "") -> None:
        """Load the model's signature ``serving_default``.

        ``allowed`` names operations that may reach out of the model; None allows all, for one that was made here.
        ``source`` is what sentences call it, and else the path.

        Raises:
            InputError: there is no SavedModel, it is damaged, reaches out of itself, lacks the signature, or has an
                unusual dtype.
        """
        tf = load_tensorflow()
        from google.protobuf.json_format import MessageToDict

        source = source or str(path)
        proto = read_graph(path, source)
        if allowed is not None:
            check_operations(proto, source, allowed)
        try:
            loaded = tf.saved_model.load(str(path))
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise InputError(
                f"{source} is not a SavedModel that TensorFlow {tf.__version__} can load ({clip(error)}); "
                "export it again"
            ) from error
        signatures = dict(proto.meta_graphs[0].signature_def) if proto.meta_graphs else {}
        if SIGNATURE not in loaded.signatures or SIGNATURE not in signatures:
            known = ", ".join(sorted(loaded.signatures)) or "none"
            raise InputError(f"{source} has no signature {SIGNATURE} (it has {known}); export it with model.export")
        self.steady = is_steady(proto)
        self._loaded = loaded  # the signature alone does not keep the variables alive
        self._constant, self._errors = tf.constant, tf.errors
        self.signature_def: Mapping[str, Any] = {
            SIGNATURE: MessageToDict(
                signatures[SIGNATURE], preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        }
        self._take(SIGNATURE)

    def _take(self, name: str) -> None:
        self._call = self._loaded.signatures[name]
        inputs, outputs = self._call.structured_input_signature[1], self._call.structured_outputs
        self.inputs: Mapping[str, Tensor] = {name: _tensor(name, spec) for name, spec in sorted(inputs.items())}
        self.outputs: Mapping[str, Tensor] = {name: _tensor(name, spec) for name, spec in sorted(outputs.items())}

    def by_signature(self, name: str) -> "SavedModel | None":
        """Return the model as another of its signatures gives it, or None where it has no such one."""
        if name not in self._loaded.signatures:
            return None
        other = copy.copy(self)
        other._take(name)
        return other

    def predict(self, arrays: Arrays) -> dict[str, np.ndarray[Any, Any]]:
        """Return the outputs for inputs that fit the signature.

        Raises:
            ValuesError: the model itself refuses the values.
            ModelError: it fails at them.
        """
        try:
            given = {name: self._constant(array) for name, array in arrays.items()}
            found = self._call(**given)
            return {name: found[name].numpy() for name in self.outputs}
        except (self._errors.InvalidArgumentError, self._errors.OutOfRangeError) as error:
            raise ValuesError(f"the model refuses these values: {clip(error)}") from error
        except self._errors.OpError as error:
            raise ModelError(f"the model fails ({clip(error)})") from error

    def warm_up(self, pictures: Collection[str] = ()) -> bool:
        """Call the model on zeros and ones, and return whether it answers zeros; ``pictures`` are encoded ones."""
        answers, self.rows_apart = warm(self, pictures)
        return answers


def _tensor(name: str, spec: Any) -> Tensor:
    dtype = spec.dtype.name
    if dtype != "string" and (not hasattr(np, dtype) or np.dtype(dtype).kind not in "biuf"):
        raise InputError(
            f"{name} is {dtype}, which JSON cannot carry; cast it to float32 in the model and export again"
        )
    if spec.shape.rank is None:
        raise InputError(f"{name} has no known rank; give its shape in the model and export again")
    return Tensor(name, dtype, tuple(spec.shape.as_list()))
