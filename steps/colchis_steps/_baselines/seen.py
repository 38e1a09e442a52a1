"""What the rows of the train split show of each column, in one pass and bounded memory, the same on every worker.

Means and deviations are Chan's parallel ones (Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for
Computing Sample Variances, 1979), in float64, over the values that are there.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from colchis_steps._baselines.kinds import is_ragged, kind_of
from colchis_steps._data.arrays import MASK, VALID
from colchis_steps._formats.data import Column
from colchis_steps.context import Context

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

ROWS = 1_000_000  # are looked at, of the shuffled ones: more would show no other mean
PICTURES = 2048  # rows where all columns are pictures
COUNTED = 200_000  # different values that are counted at a time; the rarer half is forgotten then
SENTENCE = 3  # words, on average, from which on text is sentences
PUNCTUATION = b"""!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"""  # that TextVectorization strips


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of each element, over rows: arrays of the column's shape."""

    count: Any = 0.0
    mean: Any = 0.0
    squares: Any = 0.0
    missing: bool = False  # a NaN was there

    def add(self, values: "Array") -> None:
        """Take rows [rows, …] of floats; NaN is no value."""
        import numpy as np

        there = ~np.isnan(values)
        self.missing |= not bool(there.all())
        count = there.sum(axis=0).astype(np.float64)
        filled = np.where(there, values, 0.0)
        mean = filled.sum(axis=0) / np.maximum(count, 1)
        squares = (np.where(there, filled - mean, 0.0) ** 2).sum(axis=0)
        total = self.count + count
        apart = mean - self.mean
        self.mean = self.mean + apart * count / np.maximum(total, 1)
        self.squares = self.squares + squares + apart**2 * self.count * count / np.maximum(total, 1)
        self.count = total

    @property
    def deviation(self) -> Any:
        """The standard deviation of each element; 1 where all values are one."""
        import numpy as np

        found = np.sqrt(self.squares / np.maximum(self.count, 1))
        return np.where(found > 1e-12 * np.maximum(1.0, np.abs(self.mean)), found, 1.0)


@dataclass
class Words:
    """How often values occur, and words in them, where they are sentences."""

    values: Counter[Any] = field(default_factory=Counter)
    words: Counter[bytes] = field(default_factory=Counter)
    sentences: bool | None = None  # not known before the first rows
    longest: int = 0  # words of a row

    def add(self, values: list[Any]) -> None:
        """Take values of rows."""
        _count(self.values, values)
        if self.sentences is None and values:
            texts = isinstance(values[0], str)
            self.sentences = texts and sum(value.count(" ") + 1 for value in values) >= SENTENCE * len(values)
        if self.sentences:
            for value in values:
                found = value.encode().lower().translate(None, PUNCTUATION).split()
                self.longest = max(self.longest, len(found))
                self.words.update(found)
            _forget(self.words)

    def frequent(self, most: int, least: int) -> list[Any]:
        """Return the values that occur at least so often, the most frequent first; equals in order."""
        return _frequent(self.values, most, least)


@dataclass
class Seen:
    """What was seen: rows, labels (their moments, for a regression), and each column's facts by name."""

    rows: int = 0
    labels: Moments = field(default_factory=Moments)
    moments: dict[str, Moments] = field(default_factory=dict)
    words: dict[str, Words] = field(default_factory=dict)
    pictures: dict[str, list[bytes]] = field(default_factory=dict)  # the first few, as they are stored


def look(context: Context, columns: Mapping[str, Column]) -> Seen:
    """Read the train split up to ROWS rows."""
    seen = Seen()
    kinds = {name: kind_of(column, context.columns) for name, column in columns.items()}
    most = PICTURES if set(kinds.values()) == {"picture"} and context.task.kind != "regression" else ROWS
    for block in context.blocks("train", 0):
        count = min(len(next(iter(block.values()))), most - seen.rows)
        rows = {name: values[:count] for name, values in block.items()}
        if context.task.kind == "regression":
            seen.labels.add(rows[context.label].astype("float64"))
        for name, column in columns.items():
            _take(seen, column, kinds[name], rows, ragged=is_ragged(column, context.columns))
        seen.rows += count
        if seen.rows >= most:
            break
    return seen


def frequent_words(words: Words, most: int) -> list[str]:
    """Return the words that occur at least twice, the most frequent first."""
    return [word.decode(errors="replace") for word in _frequent(words.words, most, 2)]


def _take(seen: Seen, column: Column, kind: str, rows: "Mapping[str, Array]", *, ragged: bool) -> None:
    name, values = column.name, rows[column.name]
    there = rows[name + MASK] if ragged else rows.get(name + VALID)
    if kind == "picture" and column.dtype == "bytes":
        kept = seen.pictures.setdefault(name, [])
        kept += [value for value in values[:64].tolist() if value][: 64 - len(kept)]
    elif kind == "text" or (kind == "number" and ragged and column.dtype.startswith(("int", "uint"))):
        found = values.ravel() if there is None or not ragged else values[there]
        seen.words.setdefault(name, Words()).add([_text(value) for value in found.tolist()])
    elif kind in {"number", "date"}:
        found = values.astype("float64")
        if ragged:  # one mean for all places
            found = found[there].reshape(-1, *column.shape[1:])
        elif there is not None:
            found = found[there]
        seen.moments.setdefault(name, Moments()).add(found)
        if not column.shape and column.dtype.startswith(("int", "uint")) and kind == "number":
            whole = values if there is None else values[there]
            _count(seen.words.setdefault(name, Words()).values, whole.tolist())


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _count(counter: Counter[Any], values: list[Any]) -> None:
    counter.update(values)
    _forget(counter)


def _forget(counter: Counter[Any]) -> None:
    if len(counter) > COUNTED:
        kept = _frequent(counter, COUNTED // 2, 1)
        counts = {value: counter[value] for value in kept}
        counter.clear()
        counter.update(counts)


def _frequent(counter: Counter[Any], most: int, least: int) -> list[Any]:
    return sorted((v for v, n in counter.items() if n >= least), key=lambda value: (-counter[value], value))[:most]
