"""Which format a model's files have, by their names, for those who do not load it."""

from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from colchis_steps._step.errors import InputError

SAVED_MODEL, ONNX = "savedmodel", "onnx"
GRAPH, ONNX_FILE = "saved_model.pb", "model.onnx"
FORMATS = {GRAPH: SAVED_MODEL, ONNX_FILE: ONNX}  # by the file that makes a directory a model of the format
PLATFORMS = {SAVED_MODEL: "tensorflow_savedmodel", ONNX: "onnx_onnxv1"}  # by the Open Inference Protocol's names
FORMATS_IN_WORDS = {SAVED_MODEL: "SavedModel", ONNX: "ONNX"}
EXPORT = "write it as ONNX with colchis_steps.export."
REMEDIES = {  # what other files are by their endings, and how a model that can be served is made of what wrote them
    (".joblib", ".pkl", ".pickle", ".skops"): f"{EXPORT}from_sklearn, as nothing here reads pickles",
    (".ubj", ".xgb", ".bst"): f"{EXPORT}from_xgboost",
    (".pt", ".pth", ".bin", ".safetensors", ".ckpt"): f"{EXPORT}from_torch",
    (".keras", ".h5", ".hdf5"): "write a SavedModel with model.export(directory) in its place",
    (".cbm",): "write it with save_model('model.onnx', format='onnx') in its place",
    (".tflite",): "give the SavedModel or the ONNX model that it was made of",
    (".json",): f"{EXPORT}from_xgboost if that is what it is",  # last, as others have a configuration in one
}


def format_of(paths: Collection[str], source: str) -> str:
    """Return the format of files, by their paths in the model's directory; ``source`` names where they lie.

    Raises:
        InputError: they are no model that can be served, or are of two formats.
    """
    found = [kind for name, kind in FORMATS.items() if name in paths]
    if len(found) > 1:
        raise InputError(f"{source} has {' and '.join(FORMATS)}, so two models; leave one of them out")
    if not found:
        raise InputError(f"{source} has neither {GRAPH} nor {ONNX_FILE}{_remedy(sorted(paths))}")
    return found[0]


def is_model(directory: Path) -> bool:
    """Return whether a directory holds a model that can be served."""
    return any((directory / name).is_file() for name in FORMATS)


def _remedy(paths: Iterable[str]) -> str:
    """Return what to do instead, by the first file that tells what it is."""
    files = [PurePosixPath(path) for path in paths]
    for file in files:
        if file.name in FORMATS:
            return f", but {_short(file)}; move what is in {_short(file.parent)} to the top"
    for file in files:
        if file.suffix == ".onnx":
            return f", but {_short(file)}; call it {ONNX_FILE}"
    for suffixes, remedy in REMEDIES.items():
        for file in files:
            if file.suffix.lower() in suffixes:
                return f", but {_short(file)}; {remedy}"
    return "; give a SavedModel, as keras.Model.export writes it, or ONNX"


def _short(path: PurePosixPath) -> str:
    return str(path)[-128:]
