"""The second part of an evaluation: the models' answers to the test split. It runs what was trained, and has no key.

Reads   <given>/                               what ``fetch`` wrote
Writes  <answers>/{candidate,baseline}.npy     predictions, float [rows, classes], in the order of the data
        <answers>/golden.json                  some rows and all that the candidate answers to them
        <answers>/answers.json                 last: whether the baseline fits the data
"""

import logging
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._data.dataset import DataSet
from colchis_steps._evaluation.fetch import BASELINE, CANDIDATE, GIVEN, fetched_data
from colchis_steps._evaluation.model import BATCH, Model
from colchis_steps._formats.documents import encode
from colchis_steps._formats.evaluation import Answers, Given
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

ANSWERS, GOLDEN = "answers.json", "golden.json"
log = logging.getLogger("colchis")


def ask(run: str, uri: str, given: Path, answers: Path, allowed: Collection[str] = ()) -> None:
    """Ask the candidate, and the stable version where it takes the same data.

    Raises:
        InputError: the candidate does not load, may do more than compute, or does not fit the data.
    """
    found, data = read_document(open_store(given.as_uri()), GIVEN, Given), fetched_data(given, uri)
    shutil.rmtree(answers, ignore_errors=True)
    answers.mkdir(parents=True, exist_ok=True)
    here, missing = open_store(answers.as_uri()), ""
    model = Model(given / CANDIDATE, f"the model of run {run}", allowed)
    if odd := model.mismatch(data):
        raise InputError(f"{odd}; evaluate it on data like that of its training")
    _predict(model, data, answers / f"{CANDIDATE}.npy")
    here.write(GOLDEN, encode(model.golden(data, run)))
    if found.baseline is not None:
        baseline = Model(given / BASELINE, f"the stable version {found.baseline}", allowed)
        missing = baseline.mismatch(data)
        if not missing:
            _predict(baseline, data, answers / f"{BASELINE}.npy")
    here.write(ANSWERS, encode(Answers(missing)))


def _predict(model: Model, data: DataSet, path: Path) -> None:
    """Write the model's probabilities of each row; memory does not grow with the rows."""
    import numpy as np

    shape, at = (data.rows("test"), len(data.classes)), 0
    written = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    for batch in data.batches("test", BATCH):
        written[at : at + batch.total] = model.probabilities(batch)
        at += batch.total
    del written  # it is on the disk then


def predictions(answers: Path, name: str, data: DataSet) -> "Array":
    """Return a model's answers, float [rows, classes], mapped from their file.

    Raises:
        InputError: they are of another shape or type.
    """
    import numpy as np

    wanted = (data.rows("test"), len(data.classes))
    try:
        found: Array = np.load(answers / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"the answers of the {name} cannot be read ({str(error)[:128]}); evaluate it again") from error
    if found.shape != wanted or found.dtype != np.float32:
        raise InputError(
            f"the answers of the {name} are {found.dtype}{list(found.shape)}, not float32{list(wanted)}; "
            "evaluate it again"
        )
    return found
