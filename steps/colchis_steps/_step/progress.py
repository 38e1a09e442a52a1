"""Progress of long work in bytes: to the engine's file, and as a bar where a person watches."""

import os
import sys
import threading
import time
from pathlib import Path

from colchis_steps._step.outputs import write_atomically

EVERY = 1.0  # seconds between two writes of the engine's file; Argo reads it once a minute


class Progress:
    """Counts bytes towards a total; threads may share it."""

    def __init__(self, name: str, total: int) -> None:
        self.total, self.done, self.written = total, 0, 0.0
        self.lock = threading.Lock()
        self.bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self.bar = Bar(*columns, console=Console(stderr=True))
            self.task = self.bar.add_task(name, total=total)

    def __enter__(self) -> "Progress":
        progress(0, max(self.total, 1))
        if self.bar:
            self.bar.start()
        return self

    def advance(self, size: int) -> None:
        """Count ``size`` further bytes."""
        with self.lock:
            self.done = min(self.done + size, self.total)  # a layer that was sent again counts once
            if self.bar:
                self.bar.update(self.task, completed=self.done)
            if time.monotonic() - self.written > EVERY:
                self.written = time.monotonic()
                progress(self.done, max(self.total, 1))

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: object) -> None:
        if self.bar:
            self.bar.stop()
        if kind is None:
            progress(max(self.total, 1), max(self.total, 1))


def progress(done: int, total: int) -> None:
    """Report to the engine, through ``$ARGO_PROGRESS_FILE`` where that is set, that ``done`` of ``total`` is done."""
    if path := os.environ.get("ARGO_PROGRESS_FILE"):
        write_atomically(Path(path), f"{done}/{total}\n")
