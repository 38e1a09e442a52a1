"""Metrics of the user's own: a function of labels, predictions, weights and rows, run where no key is.

The function is ``module:function``. It is called once for each model, with

labels       as training has them: int64 [rows], uint8 [rows, labels], float32 [rows] or [rows, targets], …
predictions  what the model answered, [rows, …]; for a task that is not known a dict of its outputs by name
weights      float64 [rows]: the weight column, or ones
rows         a dict of the test split's columns by name, without the labels

and returns a dict of finite numbers by name: at most MOST, called by lower-case letters, digits and ``_``. The whole
test split is in its memory.

Reads   <given>/, <answers>/
Writes  <measured>/measured.json
"""

import importlib
import logging
import math
import numbers
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from colchis_steps._data.dataset import DataSet
from colchis_steps._evaluation.ask import ANSWERS, predictions
from colchis_steps._evaluation.fetch import BASELINE, CANDIDATE, CODE, GIVEN, fetched_data
from colchis_steps._evaluation.tasks import OUTPUTS, weights_of
from colchis_steps._formats.documents import encode
from colchis_steps._formats.evaluation import Answers, Given, Measured
from colchis_steps._step.errors import InputError
from colchis_steps._step.text import one_line
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

MEASURED = "measured.json"
MOST = 100  # metrics
SIZE = 64 << 10  # bytes of what was measured
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
log = logging.getLogger("colchis")


def check_function(function: str) -> None:
    """Raise InputError where the text is not ``package.module:function``."""
    module, _, name = function.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise InputError(f"metrics {function[:128]!r} are not package.module:function; give them like mine:business")


def measure(function: str, uri: str, given: Path, answers: Path, measured: Path) -> None:
    """Call the user's function for the candidate, and for the baseline where that was asked.

    Raises:
        InputError: there is no such function, it raises, or it gives something else than finite numbers by name.
    """
    shutil.rmtree(measured / MEASURED, ignore_errors=True)
    measured.mkdir(parents=True, exist_ok=True)
    if not function:
        return
    check_function(function)
    found = read_document(open_store(given.as_uri()), GIVEN, Given)
    told = read_document(open_store(answers.as_uri()), ANSWERS, Answers)
    data = fetched_data(given, uri)
    if (given / CODE).is_dir():
        sys.path.insert(0, str(given / CODE))
    call = _load(function)
    labels, weights, rows = _whole(data)
    names = [CANDIDATE]
    if found.baseline is not None and found.known is None and not told.missing:
        names.append(BASELINE)
    figures = []
    for name in names:
        outputs = {output: predictions(answers, name, i, data) for i, output in enumerate(told.outputs)}
        predicted = next(iter(outputs.values())) if data.task.kind in OUTPUTS else outputs
        figures.append(checked(_called(function, call, labels, predicted, weights, rows), function))
    open_store(measured.as_uri()).write(MEASURED, encode(Measured(*figures)))


def _whole(data: DataSet) -> "tuple[Array, Array, dict[str, Array]]":
    """Return labels, weights and the other columns of the test split."""
    import numpy as np

    parts = [
        (batch.labels[: batch.total], {**batch.features, **batch.others}, batch.total)
        for batch in data.batches("test", 4096)
    ]
    rows = {name: np.concatenate([columns[name][:total] for _, columns, total in parts]) for name in parts[0][1]}
    labels = np.concatenate([found for found, _, _ in parts])
    return labels, weights_of(data, rows, len(labels)), rows


def _load(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    try:
        found = importlib.import_module(module)
    except Exception as error:
        raise InputError(
            f"metrics {function!r}: importing {module} raises {_told(error)}; push the directory that holds it and "
            "give its URI as code, or correct the name"
        ) from error
    call = getattr(found, name, None)
    if not callable(call):
        raise InputError(f"metrics {function!r}: {module} has no function {name!r}; correct the name")
    return call  # type: ignore[no-any-return]  # what it gives is checked when it has given it


def _called(function: str, call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Exception as error:
        raise InputError(f"metrics {function!r} raise {_told(error)}; mend the function") from error


def _told(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return one_line(f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})", 512)


def checked(given: Any, function: str) -> dict[str, float]:
    """Return what a function gave as finite numbers by name.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(given, Mapping) or not given:
        raise InputError(f"metrics {function!r} give {type(given).__name__}; give a dict of numbers by name")
    if len(given) > MOST:
        raise InputError(f"metrics {function!r} give {len(given)} numbers; give at most {MOST}")
    found = {}
    for name, value in given.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InputError(
                f"metrics {function!r} give the name {str(name)[:64]!r}; call it by lower-case letters, digits and _"
            )
        is_number = isinstance(value, numbers.Real) or (getattr(value, "shape", None) == () and hasattr(value, "item"))
        try:
            number = float(value) if is_number and not isinstance(value, bool) else math.nan
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"metrics {function!r} give {name} = {str(value)[:64]!r}; give a finite number")
        found[name] = number
    return found


def read_measured(measured: Path, function: str) -> Measured:
    """Return what the user's function gave, read as what a stranger wrote.

    Raises:
        InputError: there is nothing, or it is no document of finite numbers by name.
    """
    try:
        content = open_store(measured.as_uri()).read(MEASURED, SIZE)
        found = msgspec.json.decode(content, type=Measured, strict=True)
    except (InputError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"metrics {function!r} left no numbers ({str(error)[:256]}); look at the log of the container measure"
        ) from error
    return Measured(
        checked(found.candidate, function), None if found.baseline is None else checked(found.baseline, function)
    )
