"""The second part of an evaluation: the models' answers to the test split. It runs what was trained, and has no key.

Reads   <given>/                               what ``fetch`` wrote
Writes  <answers>/{candidate,baseline}-N.npy   predictions of the N-th output, [rows, …], in the order of the data
        <answers>/golden.json                  some rows and all that the candidate answers to them
        <answers>/answers.json                 last: the outputs' names, and whether the baseline fits the data
"""

import logging
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from colchis_steps._data.dataset import DataSet
from colchis_steps._evaluation.costs import Costs
from colchis_steps._evaluation.fetch import BASELINE, CANDIDATE, GIVEN, fetched_data
from colchis_steps._evaluation.model import BATCH, Model
from colchis_steps._evaluation.tasks import OUTPUTS, width
from colchis_steps._evaluation.unjudged import golden_rows
from colchis_steps._formats.documents import encode
from colchis_steps._formats.evaluation import Answers, Given
from colchis_steps._formats.runs import Signature
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps._tensors.described import listed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

ANSWERS, GOLDEN = "answers.json", "golden.json"
MOST = 32  # outputs that are kept of a model of no known task
log = logging.getLogger("colchis")


def ask(run: str, uri: str, given: Path, answers: Path, allowed: Collection[str] = ()) -> None:
    """Ask the candidate, and the stable version where it takes the same data and its figures are not known.

    Raises:
        InputError: the candidate does not load, may do more than compute, or does not fit the data.
    """
    found = read_document(open_store(given.as_uri()), GIVEN, Given)
    shutil.rmtree(answers, ignore_errors=True)
    answers.mkdir(parents=True, exist_ok=True)
    here, missing, served = open_store(answers.as_uri()), "", Signature()
    if not found.data:
        here.write(GOLDEN, encode(golden_rows(given / CANDIDATE, run, allowed)))
        here.write(ANSWERS, encode(Answers()))
        return
    data, costs = fetched_data(given, uri), Costs(given / CANDIDATE, measured=found.measures)
    model = Model(given / CANDIDATE, f"the model of run {run}", allowed)
    if odd := model.mismatch(data):
        raise InputError(f"{odd}; evaluate it on data like that of its training")
    outputs = model.outputs(data.task.kind)[:MOST]
    _predict(model, data, outputs, answers, CANDIDATE)
    rows = next(iter(data.batches("test", BATCH)))
    here.write(GOLDEN, encode(model.golden(rows, data, run)))
    features = {name: rows.features[name][: rows.total] for name in model.inputs}
    signature = listed(model.served.inputs, model.served.outputs)
    told = Answers("", outputs, costs.take(model.served.predict, features), signature)
    if found.baseline is not None and found.known is None:
        baseline = Model(given / BASELINE, f"the stable version {found.baseline}", allowed)
        missing = baseline.mismatch(data)
        if not missing and (absent := set(outputs) - set(baseline.outputs(data.task.kind))):
            missing = f"{baseline.name} has no output {', '.join(sorted(absent))}"
        if not missing:
            _predict(baseline, data, outputs, answers, BASELINE)
        served = listed(baseline.served.inputs, baseline.served.outputs)
    here.write(ANSWERS, encode(replace(told, missing=missing, baseline_signature=served)))


def _predict(model: Model, data: DataSet, outputs: Sequence[str], answers: Path, name: str) -> None:
    """Write what the model answers to each row; memory does not grow with the rows."""
    import numpy as np

    written: list[Array] = []
    at, total = 0, data.rows("test")
    for batch in data.batches("test", BATCH):
        found = list(model.answers(batch, outputs).values())
        if not written:
            written = [
                np.lib.format.open_memmap(
                    answers / f"{name}-{i}.npy",
                    "w+",
                    np.float32 if data.task.kind in OUTPUTS else one.dtype,
                    (total, *one.shape[1:]),
                )
                for i, one in enumerate(found)
            ]
        for output, one, file in zip(outputs, found, written, strict=True):
            if one.shape[1:] != file.shape[1:]:
                raise InputError(
                    f"{model.name} gives the output {output} {list(one.shape[1:])} for one row and "
                    f"{list(file.shape[1:])} for another; pad it to one shape"
                )
            file[at : at + batch.total] = one
        at += batch.total
    for file in written:
        file.flush()  # type: ignore[attr-defined]  # a memmap


def predictions(answers: Path, name: str, number: int, data: DataSet) -> "Array":
    """Return a model's answers of the ``number``-th output, [rows, …], mapped from their file.

    Raises:
        InputError: they are of another shape or type.
    """
    import numpy as np

    try:
        found: Array = np.load(answers / f"{name}-{number}.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"the answers of the {name} cannot be read ({str(error)[:128]}); evaluate it again") from error
    rows = data.rows("test")
    wanted = (rows, width(data)) if data.task.kind in OUTPUTS else (rows, *found.shape[1:])
    if found.shape != wanted or (data.task.kind in OUTPUTS and found.dtype != np.float32):
        raise InputError(
            f"the answers of the {name} are {found.dtype}{list(found.shape)}, not float32{list(wanted)}; "
            "evaluate it again"
        )
    return found
