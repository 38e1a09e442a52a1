"""A SavedModel that exists: its signature, and the export of what wraps it, so that names are those of the task."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colchis_steps._adopting.fitting import Fit
from colchis_steps._savedmodel.checking import check_operations, read_graph
from colchis_steps._savedmodel.library import load_tensorflow
from colchis_steps._savedmodel.outputs import Output
from colchis_steps._savedmodel.warmup import write_warmup
from colchis_steps._step.errors import InputError
from colchis_steps._step.text import clip
from colchis_steps._tensors.tensor import SIGNATURE, Tensor


@dataclass(frozen=True)
class Loaded:
    """A loaded SavedModel and the one of its signatures that is served."""

    model: Any
    call: Any
    name: str  # the signature's
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


def load(directory: Path, source: str, signature: str, allowed: tuple[str, ...] = ()) -> Loaded:
    """Load a SavedModel; without a name, its signature is ``serving_default``, or the only one.

    Raises:
        InputError: it is damaged, reaches out of itself, or which signature is meant is open.
    """
    tf = load_tensorflow()
    check_operations(read_graph(directory, source), source, allowed)
    try:
        model = tf.saved_model.load(str(directory))
    except (OSError, ValueError, KeyError, TypeError, tf.errors.OpError) as error:
        raise InputError(
            f"{source} is no SavedModel that TensorFlow {tf.__version__} loads ({clip(error)}); export it again"
        ) from error
    known = dict(model.signatures)
    if not known:
        raise InputError(f"{source} has no signature, so that nobody can ask it; export it with keras.Model.export")
    name = signature or (SIGNATURE if SIGNATURE in known else next(iter(known)) if len(known) == 1 else "")
    if name not in known:
        what = f"no signature {signature!r}" if signature else f"no signature {SIGNATURE}"
        raise InputError(f"{source} has {what}, but {', '.join(sorted(known))}; choose with --signature NAME")
    call = known[name]
    inputs = {one: _tensor(one, spec) for one, spec in sorted(call.structured_input_signature[1].items())}
    outputs = {one: _tensor(one, spec) for one, spec in sorted(call.structured_outputs.items())}
    return Loaded(model, call, name, inputs, outputs)


def write(loaded: Loaded, fit: Fit, directory: Path, source: str) -> None:
    """Write a SavedModel of the one signature ``serving_default`` that calls the loaded model as ``fit`` says.

    Raises:
        InputError: TensorFlow cannot store it again, or it does not take what it says that it takes.
    """
    tf = load_tensorflow()

    wrapped = tf.Module()
    wrapped.model = loaded.model  # keeps its variables and tables

    def taken(name: str, features: Mapping[str, Any]) -> Any:
        wanted, columns = loaded.inputs[name], fit.inputs[name]
        cast = [
            features[one.name] if one.dtype == wanted.dtype else tf.cast(features[one.name], wanted.dtype)
            for one in columns
        ]
        if len(cast) > 1:
            return tf.stack(cast, axis=1)
        if len(columns[0].shape) == len(wanted.shape):
            return cast[0]
        return tf.reshape(cast[0], [-1, *wanted.shape[1:]])

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def serve(features: dict[str, Any]) -> dict[str, Any]:
        found = loaded.call(**{name: taken(name, features) for name in loaded.inputs})
        if not fit.answer:
            return dict(found)
        answer = found[fit.answer]
        found = {**found, fit.answer: answer if len(answer.shape) == 2 else tf.reshape(answer, [-1, 1])}
        return Output(fit.answer, fit.answer, fit.activation, fit.task).served(None, found)

    specs = {name: tf.TensorSpec(tensor.shape, tensor.dtype, name=name) for name, tensor in fit.served.items()}
    try:
        concrete = serve.get_concrete_function(specs)
        tf.saved_model.save(wrapped, str(directory), signatures={SIGNATURE: concrete})
    except (ValueError, TypeError, AssertionError, KeyError, AttributeError, tf.errors.OpError) as error:
        raise InputError(
            f"TensorFlow {tf.__version__} cannot store {source} again with other names ({clip(error)}); export it "
            f"with the signature {SIGNATURE}, its inputs named after the data's columns and its outputs by the task"
        ) from error
    write_warmup(directory, specs)


def _tensor(name: str, spec: Any) -> Tensor:
    if spec.shape.rank is None:
        raise InputError(f"{name} has no known rank; give its shape in the model and export again")
    return Tensor(name, spec.dtype.name, tuple(spec.shape.as_list()))
