"""What explain and compare say, before it becomes text or a page: parts with facts and tables of short texts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from colchis_steps._step.text import printable

ABSENT = "\N{EN DASH}"  # stands for what is not there


@dataclass(frozen=True)
class Cell:
    """A text whose meaning has a colour on a page as well: good, bad, warn, or none."""

    text: str
    tone: str = ""

    def __str__(self) -> str:
        """Return the text."""
        return self.text


@dataclass(frozen=True)
class Table:
    """Rows below names; columns from ``numbers`` on hold numbers, which stand to the right."""

    caption: str
    head: tuple[str, ...]
    rows: Sequence[Sequence[Cell | str]]
    numbers: frozenset[int] = frozenset()

    def filled(self) -> "Table":
        """Return the table without columns that no row has anything in."""
        kept = [i for i in range(len(self.head)) if any(str(row[i]) not in {"", ABSENT} for row in self.rows)]
        rows = [tuple(row[i] for i in kept) for row in self.rows]
        numbers = frozenset(new for new, i in enumerate(kept) if i in self.numbers)
        return Table(self.caption, tuple(self.head[i] for i in kept), rows, numbers)


@dataclass
class Part:
    """A part of what is told; facts without a value are left out."""

    title: str
    facts: list[tuple[str, Cell | str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def add(self, name: str, value: Cell | str | int | None) -> None:
        """Add a fact, if there is one."""
        told = value if isinstance(value, Cell) else "" if value is None else str(value)
        if str(told):
            self.facts.append((name, told))

    def add_all(self, facts: Mapping[str, str]) -> None:
        """Add facts."""
        for name, value in facts.items():
            self.add(name, value)

    @property
    def has_content(self) -> bool:
        """Whether it says anything."""
        return bool(self.facts or self.words or any(table.rows for table in self.tables))


def text(title: str, parts: Iterable[Part]) -> str:
    """Return it as text for a terminal: names and values in two columns, tables below."""
    lines = [_line(title)]
    for part in parts:
        if not part.has_content:
            continue
        lines += ["", part.title]
        lines += [f"  {_line(word)}" for word in part.words]
        wide = max((len(name) for name, _ in part.facts), default=0)
        lines += [f"  {_line(name):{min(wide, 24)}}  {_line(str(value))}" for name, value in part.facts]
        for table in part.tables:
            lines += _drawn(table.filled())
    return "\n".join(lines)


def _line(value: str) -> str:
    """Return a value as one line in which nothing acts."""
    return printable(" ".join(value.split()))


def _drawn(table: Table) -> list[str]:
    if not table.rows:
        return []
    rows = [[_line(str(cell)) for cell in row] for row in (table.head, *table.rows)]
    wide = [min(72, max(len(row[i]) for row in rows)) for i in range(len(table.head))]
    lines = [f"  {_line(table.caption)}"] if table.caption else []
    for row in rows:
        cells = [
            cell.rjust(size) if i in table.numbers else cell.ljust(size)
            for i, (cell, size) in enumerate(zip(row, wide, strict=True))
        ]
        lines.append(f"    {'  '.join(cells)}".rstrip())
    return lines
