"""One process of a local run: in a group of its own, ended with ours even by kill -9, logged to a file."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ALIVE_FD = "COLCHIS_ALIVE_FD"  # a pipe whose other end we hold: when it closes, the step ends itself
TICK = 0.05
GRACE = 30.0  # seconds between SIGTERM and SIGKILL, as Kubernetes has it


@contextlib.contextmanager
def _alive_pipe() -> Iterator[int]:
    read, write = os.pipe()
    try:
        yield read
    finally:
        os.close(read)
        os.close(write)


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def execute(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    *,
    stop: threading.Event,
    deadline: float,
    tick: Callable[[], None],
    result: Path | None = None,
) -> tuple[int, str]:
    """Run a command to its end and return its exit code (128 + n for signal n) and, where we ended it, why.

    ``tick`` is called a few times a second; ``deadline`` are seconds; stdout goes to ``result`` where that is given.
    """
    with log.open("ab") as output, (result or log).open("ab") as standard, _alive_pipe() as alive:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=standard,
            stderr=output,
            env={**environment, ALIVE_FD: str(alive)},
            pass_fds=(alive,),
            start_new_session=True,
        )
        began, asked, why = time.monotonic(), 0.0, ""
        while True:
            try:
                code = process.wait(TICK)
                break
            except subprocess.TimeoutExpired:
                tick()
            now = time.monotonic()
            late = now - began > deadline
            if not asked and (stop.is_set() or late):
                asked, why = now, "it was stopped" if stop.is_set() else f"it took longer than {deadline:.0f} s"
                _signal(process, signal.SIGTERM)
            elif asked and now - asked > GRACE:
                _signal(process, signal.SIGKILL)
        tick()
    return (code if code >= 0 else 128 - code), why
