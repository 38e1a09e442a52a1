"""The last lines of a process's log, kept for the record of a step that fails."""

import collections
import contextlib
import logging
from collections.abc import Iterator

from colchis_steps._step.text import printable

LINES = 40
LONGEST = 400  # characters of a line


class Tail(logging.Handler):
    """Keeps the last LINES lines that are logged, in which nothing acts on a page or a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: collections.deque[str] = collections.deque(maxlen=LINES)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's lines."""
        self.add(self.format(record))

    def add(self, text: str) -> None:
        """Keep the lines of a text."""
        for line in text.splitlines()[-LINES:]:
            self.lines.append(printable(line[:LONGEST]))


@contextlib.contextmanager
def tail() -> Iterator[Tail]:
    """Yield what keeps the lines that are logged meanwhile."""
    found, root = Tail(), logging.getLogger()
    root.addHandler(found)
    try:
        yield found
    finally:
        root.removeHandler(found)
