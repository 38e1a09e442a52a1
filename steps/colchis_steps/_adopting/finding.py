"""Which model lies in a file or a directory, by names alone. Pure.

1. A file is a model by its ending: ``.keras`` or ``.onnx``.
2. A directory with ``saved_model.pb`` is a SavedModel; what lies below belongs to it.
3. Any other directory is searched, also below: MLflow keeps a model in ``data/model.keras`` or ``model.onnx``, Hugging
   Face in ``saved_model/1`` or ``onnx/model.onnx``. What begins with a dot is passed over. There must be just one.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

from colchis_steps._step.errors import InputError
from colchis_steps._tensors.formats import GRAPH, ONNX, SAVED_MODEL

KERAS = "keras"
ENDINGS = {".keras": KERAS, ".onnx": ONNX}
SHOWN = 6  # names in a sentence
KERAS_2 = "load it where it was made, and store it with model.save('model.keras') or model.export(directory)"
SKLEARN = "export the pipeline with skl2onnx and give the .onnx"
TORCH = "export the model with torch.onnx.export and give the .onnx"
XGBOOST = "export the booster with onnxmltools and give the .onnx"
EXPORTS = {  # of what is no model that can be served: how to make one
    ".h5": KERAS_2,
    ".hdf5": KERAS_2,
    ".pkl": SKLEARN,
    ".pickle": SKLEARN,
    ".joblib": SKLEARN,
    ".skops": SKLEARN,
    ".pt": TORCH,
    ".pth": TORCH,
    ".bin": TORCH,
    ".safetensors": TORCH,
    ".ubj": XGBOOST,
    ".bst": XGBOOST,
    ".tflite": "give the SavedModel that it was converted from",
}


@dataclass(frozen=True)
class Found:
    """A model: its format, its path in what was given ("" for all of it), and the paths of its files."""

    format: str
    path: str
    files: tuple[str, ...]


def find_model(paths: Collection[str], source: str) -> Found:
    """Return the one model among files, by their paths in ``source``, a directory, or the name of a lone file.

    Raises:
        InputError: there is none, or there are several; the sentence names what is there and what to do.
    """
    seen = sorted(path for path in paths if not any(part.startswith(".") for part in path.split("/")))
    tops = [str(PurePosixPath(path).parent) for path in seen if PurePosixPath(path).name == GRAPH]
    tops = ["" if top == "." else top for top in tops]
    tops = [top for top in tops if not any(_below(top, other) for other in tops if other != top)]
    loose = [path for path in seen if not any(_below(path, top) for top in tops)]
    models = dict.fromkeys(tops, SAVED_MODEL)
    models |= {path: ENDINGS[end] for path in loose if (end := PurePosixPath(path).suffix.lower()) in ENDINGS}
    if not models:
        raise InputError(_none(seen, source))
    if len(models) > 1:
        names = ", ".join(sorted(models)[:SHOWN]) + (f" and {len(models) - SHOWN} more" if len(models) > SHOWN else "")
        raise InputError(f"{source} holds {len(models)} models ({names}); give one, like --from {source}/{min(models)}")
    ((path, kind),) = models.items()
    return Found(kind, path, tuple(_files(seen, path, kind)))


def _files(seen: Collection[str], path: str, kind: str) -> list[str]:
    if kind == SAVED_MODEL:
        return [one for one in seen if _below(one, path)]
    # ONNX keeps large weights in files beside the graph, or below; which they are stands in the graph
    top = path.rpartition("/")[0]
    return [one for one in seen if one == path or (kind == ONNX and _below(one, top))]


def _below(path: str, top: str) -> bool:
    return not top or path.startswith(f"{top}/")


def _none(seen: Collection[str], source: str) -> str:
    for path in seen:
        if how := EXPORTS.get(PurePosixPath(path).suffix.lower()):
            return f"{source} holds {path}, which is not served as it is; {how}"
    there = f"{', '.join(list(seen)[:SHOWN])}" if seen else "no files"
    return f"{source} holds {there}, and no model; give a SavedModel, a .keras or an .onnx file, or what holds one"
