"""A model that was found becomes the one that is served: taken as it is where its names fit, else wrapped."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from colchis_steps._adopting import graph, keras_file, program
from colchis_steps._adopting.finding import KERAS, Found
from colchis_steps._adopting.fitting import Fit, Wanted, fit
from colchis_steps._program.opening import open_model
from colchis_steps._savedmodel.checking import read_graph
from colchis_steps._savedmodel.warmup import FILE as WARMUP
from colchis_steps._tensors.formats import ONNX, ONNX_FILE, SAVED_MODEL
from colchis_steps._tensors.tensor import SIGNATURE, Program

log = logging.getLogger("colchis")


class Made(NamedTuple):
    """What is to be served: its directory, the loaded model, whether it was wrapped, and what made it."""

    directory: Path
    model: Program
    wrapped: bool
    frameworks: dict[str, str]


class Asked(NamedTuple):
    """What a person says of a SavedModel: its signature, and operations that may reach out of it."""

    signature: str = ""
    allowed: tuple[str, ...] = ()


def make(found: Found, places: tuple[Path, Path], wanted: Wanted, source: str, asked: Asked) -> Made:
    """Make what is served of the model; ``places`` are where its files were copied to, and an empty directory.

    Raises:
        InputError: it cannot be loaded, does not fit what is wanted, or cannot be wrapped; it says what to do.
    """
    copied, work = places
    if found.format == ONNX:
        return _onnx(found, copied, wanted, work / "served", source)
    directory = copied / found.path
    if found.format == KERAS:
        activation = keras_file.export(directory, source, directory := work / "exported")
        if wanted.activation == "none" and wanted.task != "regression":
            wanted = replace(wanted, activation=activation or "none")
    loaded = program.load(directory, source, asked.signature, asked.allowed)
    fitted = fit(loaded.inputs, loaded.outputs, wanted, source)
    wraps = fitted.wraps or loaded.name != SIGNATURE
    if wraps:
        program.write(loaded, fitted, directory := work / "served", source)
    tell(fitted, wraps=wraps)
    model = open_model(directory, asked.allowed)
    if not model.warm_up() and wraps:
        (directory / WARMUP).unlink()  # TensorFlow Serving does not load a model that refuses its own warm-up
    version = read_graph(directory, source).meta_graphs[0].meta_info_def.tensorflow_version
    return Made(directory, model, wraps, {"tensorflow": version} if version else {})


def _onnx(found: Found, copied: Path, wanted: Wanted, served: Path, source: str) -> Made:
    file = copied / found.path
    message = graph.read(file, source)
    served.mkdir()
    for path in sorted(graph.weights(message, source)):
        if (file.parent / path).is_file():
            (served / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file.parent / path, served / path)
    shutil.move(file, served / ONNX_FILE)
    model = open_model(served)
    fitted = fit(model.inputs, model.outputs, wanted, source)
    if fitted.wraps:
        graph.wrap(message, fitted, model.inputs, model.outputs, served)
        model = open_model(served)
    tell(fitted, wraps=fitted.wraps)
    model.warm_up()
    made_by = f"{message.producer_name} {message.producer_version}".strip()
    return Made(served, model, fitted.wraps, {"onnx": made_by} if made_by else {})


def tell(fitted: Fit, *, wraps: bool) -> None:
    """Say in the log what is served otherwise than the model has it."""
    for name, columns in fitted.inputs.items():
        if [column.name for column in columns] != [name]:
            log.info("its input %s takes the columns %s, in this order", name, ", ".join(c.name for c in columns))
    if fitted.answer:
        how = f" by {fitted.activation}" if fitted.activation else ""
        log.info("its output %s is the answer of the task %s%s", fitted.answer, fitted.task, how)
    if not wraps:
        log.info("it is served as it is")


FORMATS = {KERAS: SAVED_MODEL}  # what is served of a format that is not served itself
