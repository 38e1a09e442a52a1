"""Two models on the same rows, by the results that evaluations kept: tests of their figures, and what changed."""

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colchis_steps._data.dataset import DataSet
from colchis_steps._evaluation.changes import told
from colchis_steps._evaluation.figures import HITS, hits, names_of
from colchis_steps._evaluation.pairs import Pair
from colchis_steps._evaluation.results import KINDS
from colchis_steps._evaluation.statistics.bootstrap import seed
from colchis_steps._evaluation.units import Units
from colchis_steps._formats.keys import results_key
from colchis_steps._formats.runs import Change, Evaluation
from colchis_steps._origins.gathering import Origin
from colchis_steps._origins.judging import number
from colchis_steps._step.errors import InputError, StepError
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

SHOWN = 20  # rows, and pairs of classes, that are named
MOST = 512 << 20  # bytes of results by row


@dataclass(frozen=True)
class Moved:
    """A row of the test split, counted from 0, of which the two models say something else."""

    row: int
    label: str
    before: str
    now: str


@dataclass(frozen=True)
class Exchange:
    """Rows that one model says are of a class and the other of another; how many of them each has right."""

    before: str
    now: str
    rows: int
    right_before: int
    right_now: int


@dataclass(frozen=True)
class Paired:
    """What two models did on the same ``rows``; ``moved`` are the rows whose predictions differ most."""

    rows: int
    changes: tuple[Change, ...]
    differing: int
    gained: int  # wrong before, right now
    lost: int
    exchanges: tuple[Exchange, ...]
    moved: tuple[Moved, ...]
    apart: str = ""  # why rows that belong together are taken for independent all the same


def paired(before: tuple[Objects, Origin], now: tuple[Objects, Origin]) -> Paired:
    """Compare two models row by row.

    Raises:
        InputError: one of them was not evaluated, or on other data, or its results by row were not kept.
    """
    earlier, later = (_evaluation(origin) for _, origin in (before, now))
    if (earlier.data, earlier.task) != (later.data, later.task):
        raise InputError("they were judged on different data, so their rows cannot be set beside each other")
    if later.task not in HITS:
        raise InputError(f"there are no results by row of the task {later.task}")
    one, other = (_results(store, origin) for store, origin in (before, now))
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        raise InputError("their results by row are of different forms")
    begin, same = seed(later.tree, earlier.tree), earlier.tree == later.tree
    groups, apart = _groups(now[1], before[1], rows=len(other))
    pair = Pair(later.task, later.classes, other, one, begin, groups, same=same)
    return Paired(
        rows=len(other),
        changes=tuple(_changes(pair)) if len(other) else (),
        apart=apart,
        **_moves(pair, one, other),
    )


def _evaluation(origin: Origin) -> Evaluation:
    if origin.evaluation is None:
        raise InputError(f"there is no evaluation of {origin.name}")
    if not origin.evaluation.results:
        raise InputError(f"no results by row were kept of {origin.name}")
    return origin.evaluation


def _groups(*origins: Origin, rows: int) -> "tuple[Array | None, str]":
    """Return the number of each row's group, where the data have such a column; and why not, where they are gone."""
    manifest, uri = next(((one.data, one.about.data) for one in origins if one.data), (None, ""))
    if manifest is None or not (columns := manifest.of_role("group")):
        return None, ""
    try:
        data = DataSet(uri, open_store(uri), manifest)
        units = Units(data, ())
        units.read(data)
    except StepError as error:
        return None, f"the data's column {columns[0].name} cannot be read ({error})"
    if units.groups is None or len(units.groups) != rows:
        return None, f"the data's column {columns[0].name} is of other rows"
    return units.groups, ""


def _results(store: Objects, origin: Origin) -> "Array":
    import numpy as np

    found = _evaluation(origin)
    try:
        content = store.read(results_key(found.tree, found.data, found.results), MOST)
    except StepError as error:
        raise InputError(f"the results by row of {origin.name} cannot be read ({error})") from error
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != found.results:
        raise InputError(f"the results by row of {origin.name} are altered")
    rows: Array = np.load(io.BytesIO(content), allow_pickle=False)
    if rows.ndim != 1 or rows.dtype != np.dtype(KINDS[found.task]):
        raise InputError(f"the results by row of {origin.name} are of another release")
    return rows


def _changes(pair: Pair) -> list[Change]:
    """Return each figure that a test can tell, by an interval of 90 %."""
    found = []
    for name in names_of(pair.kind, len(pair.classes)):
        try:
            found.append(told(pair, name, "better", 0.0))
        except InputError:  # classes are too many for this figure
            continue
    return found


def _moves(pair: Pair, one: "Array", other: "Array") -> dict[str, Any]:
    """Return which rows are predicted otherwise now."""
    import numpy as np

    if pair.kind == "regression":
        apart = np.abs(other["prediction"].astype("f8") - one["prediction"].astype("f8"))
        where = np.flatnonzero(~(apart == 0))
        worst = where[np.argsort(-np.nan_to_num(apart[where], nan=np.inf), kind="stable")][:SHOWN]
        rows = [
            Moved(int(i), *(number(float(rows[i])) for rows in (one["label"], one["prediction"], other["prediction"])))
            for i in worst
        ]
        return {"differing": len(where), "gained": 0, "lost": 0, "exchanges": (), "moved": tuple(rows)}
    then, now_right = hits(pair.kind, one), hits(pair.kind, other)
    gained, lost = int((now_right & ~then).sum()), int((then & ~now_right).sum())
    if pair.kind == "multilabel":
        where = np.flatnonzero((one["said"] != other["said"]) | (one["hits"] != other["hits"]))
        chosen = where[:SHOWN]
        said = [[f"{row['hits']} of {row['said']} right" for row in results[chosen]] for results in (one, other)]
        rows = [
            Moved(int(i), f"{one['there'][i]} labels", before, after)
            for i, before, after in zip(chosen, *said, strict=True)
        ]
        return {"differing": len(where), "gained": gained, "lost": lost, "exchanges": (), "moved": tuple(rows)}
    where = np.flatnonzero(one["prediction"] != other["prediction"])
    first = np.argsort(~(then & ~now_right)[where], kind="stable")  # rows that were right and are not any more
    rows = [
        Moved(int(i), *(_class(pair, rows[i]) for rows in (one["label"], one["prediction"], other["prediction"])))
        for i in where[first][:SHOWN]
    ]
    return {
        "differing": len(where),
        "gained": gained,
        "lost": lost,
        "exchanges": tuple(_exchanges(pair, one[where], other[where])),
        "moved": tuple(rows),
    }


def _class(pair: Pair, value: Any) -> str:
    return pair.classes[value] if 0 <= value < len(pair.classes) else str(value)


def _exchanges(pair: Pair, one: "Array", other: "Array") -> list[Exchange]:
    """Return from which class to which predictions moved, most rows first."""
    import numpy as np

    both = np.stack([one["prediction"], other["prediction"]], axis=1)
    kinds, which, counts = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    which = which.ravel()
    order = np.argsort(-counts, kind="stable")[:SHOWN]
    label = one["label"]
    return [
        Exchange(
            _class(pair, kinds[k][0]),
            _class(pair, kinds[k][1]),
            int(counts[k]),
            int((label[which == k] == kinds[k][0]).sum()),
            int((label[which == k] == kinds[k][1]).sum()),
        )
        for k in order
    ]
