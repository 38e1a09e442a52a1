"""What a schema asks of a data set: terms of columns, which rows are held against, and those of the whole."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from colchis_steps._data.validating.faults import Faults
from colchis_steps._data.validating.holding import missing
from colchis_steps._data.validating.looking import Look, Texts
from colchis_steps._data.validating.measuring import Measured
from colchis_steps._data.validating.rules import Severity
from colchis_steps._data.validating.spilling import Alike
from colchis_steps._formats.data import DataManifest
from colchis_steps._formats.runs import Check

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

SHOWN = 8  # of allowed values
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
DAY = 86_400


@dataclass(frozen=True)
class Term:
    """A rule for a column: ``limit`` is a number, text, list or truth value, as the rule has it."""

    column: str
    rule: str
    limit: Any
    severity: Severity = "error"

    @property
    def title(self) -> str:
        """What the rule is called in a report."""
        if isinstance(self.limit, tuple):
            shown = ", ".join(map(str, self.limit[:SHOWN])) + (" …" if len(self.limit) > SHOWN else "")
        else:
            shown = str(self.limit).lower() if isinstance(self.limit, bool) else str(self.limit)
        return f"schema: {self.column}: {self.rule} {shown}"


@dataclass(frozen=True)
class Freshness:
    """How old the newest row may be, in seconds, by a column of times."""

    column: str
    limit: float
    words: str
    severity: Severity = "error"


@dataclass(frozen=True)
class Contract:
    """A schema. The empty one asks nothing."""

    digest: str = ""
    rules: Mapping[str, Any] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    freshness: Freshness | None = None

    @property
    def unique(self) -> list[str]:
        """The columns in which no value may be twice."""
        return [term.column for term in self.terms if term.rule == "unique" and term.limit]

    def hold(self, seen: Look, where: str, before: int, faults: Faults) -> None:
        """Hold a column of a batch against its terms; ``before`` are the rows of the file that came earlier."""
        for term in self.terms:
            if term.column != seen.column.name or term.rule not in ODD:
                continue
            odd = ODD[term.rule](term, seen)
            if odd is None or not odd.any():
                continue
            value = _shown(seen, odd)

            def tell(count: int, row: int, term: Term = term, value: str = value) -> str:
                return (
                    f"column {term.column!r} of {where} has {value} in row {row} where the schema says {term.rule}: "
                    f"{_words(term.limit)} ({count} such values); correct the rows, or the schema"
                )

            faults.add(term.title, where, tell, int(odd.sum()), before + seen.first(odd))

    def checks(
        self,
        manifest: DataManifest,
        faults: Faults,
        columns: Mapping[str, Mapping[str, Measured]],
        unique: Mapping[str, Alike],
    ) -> Iterator[Check]:
        """Yield every term's check; ``columns`` are those of each split, ``unique`` what is twice in a column."""
        for term in self.terms:
            if term.rule in ODD:
                actual, reason = "", faults[term.title].reason if term.title in faults else ""
            elif term.rule == "unique":
                actual, reason = _once(term, unique.get(term.column, Alike()).repeated)
            elif term.rule == "max_missing":
                actual, reason = _missing_share(term, columns)
            else:
                actual, reason = _described(term, manifest)
            yield Check(term.title, not reason, actual, reason, term.severity)
        if self.freshness:
            yield self._fresh(self.freshness, manifest, columns)

    def _fresh(self, fresh: Freshness, manifest: DataManifest, columns: Mapping[str, Mapping[str, Measured]]) -> Check:
        newest = max((split[fresh.column].numbers.maximum for split in columns.values()), default=float("-inf"))
        age = datetime.now(UTC).timestamp() - newest / ticks(manifest.by_name[fresh.column].type)
        actual = f"{age / DAY:.1f} days"
        reason = (
            f"the newest row by {fresh.column!r} is {actual} old where the schema says {fresh.words}; import newer data"
        )
        old = age > fresh.limit
        return Check(f"schema: fresh by {fresh.column}", not old, actual, reason if old else "", fresh.severity)


def ticks(kind: str) -> float:
    """Return how many of a type's units a second has; numbers are seconds."""
    if kind.startswith("date32"):
        return 1 / DAY
    unit = re.search(r"\[(\w+)", kind)
    return TICKS.get(unit.group(1), 1) if unit else 1


def number(value: Any, kind: str) -> float:
    """Return a limit as the column has it: dates and times in its unit since 1970."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * ticks(kind)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp() * ticks(kind)
    return float(value)


def _null(term: Term, seen: Look) -> "Array | None":
    return missing(seen) if seen.missing and not term.limit else None


def _below(term: Term, seen: Look) -> "Array | None":
    limit = number(term.limit, seen.column.type)
    return seen.raw() < limit if seen.numbers is not None and len(seen.numbers) and seen.low < limit else None


def _above(term: Term, seen: Look) -> "Array | None":
    limit = number(term.limit, seen.column.type)
    return seen.raw() > limit if seen.numbers is not None and len(seen.numbers) and seen.high > limit else None


def _foreign(term: Term, seen: Look) -> "Array | None":
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if seen.numbers is not None:
        raw = seen.raw()
        allowed = np.array([number(value, seen.column.type) for value in term.limit], np.float64)
        found: Array = ~np.isin(raw, allowed) & ~np.isnan(raw)
        return found
    if (texts := seen.texts) is None:
        return None
    words = pa.array([_text(value, seen) for value in term.limit], texts.words.type)
    return _rows(texts, pc.invert(pc.is_in(texts.words, value_set=words)))


def _text(value: Any, seen: Look) -> Any:
    return str(value) if seen.column.type == "string" else str(value).encode()


def _unlike(term: Term, seen: Look) -> "Array | None":
    import pyarrow.compute as pc

    if (texts := seen.texts) is None:
        return None
    return _rows(texts, pc.invert(pc.match_substring_regex(texts.words, whole(term.limit))))


def whole(pattern: str) -> str:
    """Return a pattern that matches whole texts."""
    return f"^(?:{pattern})$"


def _short(term: Term, seen: Look) -> "Array | None":
    return None if seen.texts is None else _rows(seen.texts, seen.texts.lengths < term.limit)


def _long(term: Term, seen: Look) -> "Array | None":
    return None if seen.texts is None else _rows(seen.texts, seen.texts.lengths > term.limit)


ODD = {  # of each rule for values: where it does not hold, [single values]; None where it holds for all
    "nullable": _null,
    "min": _below,
    "max": _above,
    "values": _foreign,
    "pattern": _unlike,
    "min_length": _short,
    "max_length": _long,
}


def _rows(texts: Texts, odd: Any) -> "Array | None":
    """Return where values have one of the odd words."""
    import numpy as np

    bad: Array = np.append(np.asarray(odd, bool), False)  # the last is that of nulls, whose code is -1
    return bad[texts.codes] if bad.any() else None


def _shown(seen: Look, odd: "Array") -> str:
    at = int(odd.argmax())
    if seen.texts is not None and seen.texts.codes[at] >= 0:
        return repr(seen.texts.words[int(seen.texts.codes[at])].as_py())[:64]
    if seen.numbers is not None:
        value = seen.raw()[at]
        return "a null" if value != value else f"{value:.15g}"  # noqa: PLR0124 - NaN does not equal itself
    return "a null"


def _once(term: Term, count: int) -> tuple[str, str]:
    if not count or not term.limit:
        return f"{count} rows", ""
    reason = f"{count} rows of column {term.column!r} repeat a value where the schema says unique; leave them out"
    return f"{count} rows", reason


def _missing_share(term: Term, columns: Mapping[str, Mapping[str, Measured]]) -> tuple[str, str]:
    share, split = max((_missing(split.get(term.column)), name) for name, split in columns.items())
    reason = (
        f"{share:.2%} of column {term.column!r} is missing in {split} where the schema says max_missing: "
        f"{term.limit:g}; fill it, or correct the schema"
    )
    return f"{share:.2%}", reason if share > term.limit else ""


def _described(term: Term, manifest: DataManifest) -> tuple[str, str]:
    found = getattr(manifest.by_name[term.column], term.rule)
    reason = (
        f"column {term.column!r} has the {term.rule} {_words(found)} where the schema says {_words(term.limit)}; "
        "import it so, or correct the schema"
    )
    return _words(found), reason if found != term.limit else ""


def _missing(found: Measured | None) -> float:
    return found.nulls / max(1, found.nulls + found.values) if found else 0.0


def _words(limit: Any) -> str:
    if isinstance(limit, tuple):
        return f"[{', '.join(map(str, limit[:SHOWN]))}{', …' if len(limit) > SHOWN else ''}]"
    return str(limit).lower() if isinstance(limit, bool) else str(limit)
