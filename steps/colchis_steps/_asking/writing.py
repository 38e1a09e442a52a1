"""Answers to many rows: a table for people, or CSV, JSON lines or Parquet beside the rows themselves."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._asking.rows import plain
from colchis_steps._step.errors import InputError
from colchis_steps._step.text import one_line

if TYPE_CHECKING:
    import pyarrow as pa

FORMS = (".csv", ".jsonl", ".parquet")
WIDEST = 32  # characters of a cell
Answers = list[dict[str, Any]]
Write = Callable[["pa.RecordBatch", Answers], None]


def check_target(path: Path | None) -> None:
    """Refuse (InputError) a name from which no format is told."""
    if path and path.suffix not in FORMS:
        raise InputError(f"--to={path} is of no format that is written; end its name with {', '.join(FORMS)}")


@contextmanager
def writing(path: Path | None) -> Iterator[Write]:
    """Yield what takes rows and their answers; the file is there when all are, under its name."""
    if path is None:
        yield _Printed().write
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    forms = {".csv": _csv, ".jsonl": _lines, ".parquet": _parquet}
    try:
        with forms[path.suffix](beside) as write:
            yield write
        beside.replace(path)
    except OSError as error:
        raise InputError(f"--to={path} cannot be written ({error.strerror}); give another") from error
    finally:
        beside.unlink(missing_ok=True)


class _Printed:
    """A table on stdout: numbers of rows and what was answered; widths are those of the first rows."""

    def __init__(self) -> None:
        self.done = 0
        self.widths: list[int] = []

    def write(self, batch: "pa.RecordBatch", answers: Answers) -> None:
        del batch  # it is the reader's own
        cells = [[str(self.done + i), *map(_cell, answer.values())] for i, answer in enumerate(answers)]
        if not self.widths and answers:
            names = ["row", *answers[0]]
            self.widths = [max(len(row[i]) for row in [names, *cells]) for i in range(len(names))]
            self._line(names)
        for row in cells:
            self._line(row)
        self.done += len(answers)

    def _line(self, cells: list[str]) -> None:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, self.widths, strict=False)).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return one_line(", ".join(map(_cell, value)), WIDEST)
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else "" if value is None else str(value)
    return one_line(text, WIDEST)


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)

        def write(batch: "pa.RecordBatch", answers: Answers) -> None:
            rows = _joined(batch, answers)
            if not file.tell() and rows:
                writer.writerow(rows[0])
            writer.writerows([json.dumps(v) if isinstance(v, list | dict) else v for v in row.values()] for row in rows)

        yield write


@contextmanager
def _lines(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:

        def write(batch: "pa.RecordBatch", answers: Answers) -> None:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in _joined(batch, answers))

        yield write


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    opened: list[Any] = []

    def write(batch: "pa.RecordBatch", answers: Answers) -> None:
        names = [name for name in batch.schema.names if name not in answers[0]]
        columns: dict[str, Any] = {name: batch.column(name) for name in names}
        columns |= {name: _column([answer.get(name) for answer in answers]) for name in answers[0]}
        table = pa.table(columns)
        if not opened:
            opened.append(pq.ParquetWriter(path, table.schema))
        opened[0].write_table(table.cast(opened[0].schema))

    try:
        yield write
    finally:
        for writer in opened:
            writer.close()


def _column(values: list[Any]) -> "pa.Array":
    """Return an output's values: bytes, which JSON has as an object, as its text; nothing but nulls as numbers."""
    import pyarrow as pa

    found = pa.array([json.dumps(one) if isinstance(one, dict) else one for one in values])
    return found.cast(pa.float64()) if pa.types.is_null(found.type) else found


def _joined(batch: "pa.RecordBatch", answers: Answers) -> Answers:
    rows: Iterable[dict[str, Any]] = batch.to_pylist()
    return [{n: plain(v) for n, v in row.items()} | answer for row, answer in zip(rows, answers, strict=True)]
