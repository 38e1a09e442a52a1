"""A command of the user's as a child process: its output handed on, its end made sure of."""

import contextlib
import ctypes
import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from colchis_steps._step.errors import InputError

PREFIX = "command:"
log = logging.getLogger("colchis")


def words_of(entry: str) -> list[str]:
    """Return the words of ``command:…``.

    Raises:
        InputError: there is none, or a quote is not closed.
    """
    try:
        words = shlex.split(entry.removeprefix(PREFIX))
    except ValueError as error:
        raise InputError(f"entry {entry!r} is not a command ({error}); quote it as for a shell") from error
    if not words:
        raise InputError(f"entry {entry!r} names no command; give one like 'command:python train.py'")
    return words


def run_child(
    words: Sequence[str],
    directory: Path,
    variables: Mapping[str, str],
    grace: float,
    on_line: Callable[[str], object],
) -> int:
    """Run a command without a shell to its end, in the directory; return its exit code, below zero a signal's number.

    ``on_line`` gets each line of stdout and stderr. What the command leaves behind is ended with it.

    Raises:
        InputError: it cannot be started.
    """
    try:
        process = subprocess.Popen(
            words,
            cwd=directory,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_end_with_us(),  # noqa: PLW1509 - it calls one function of libc
        )
    except OSError as error:
        raise InputError(f"the command {words[0]!r} cannot be started ({error}); correct the entry") from error
    try:
        for line in process.stdout or ():
            on_line(line)
        return process.wait()
    finally:
        _end(process, grace)


def _end(process: subprocess.Popen[str], grace: float) -> None:
    """End the command if it still runs, and what it has left behind."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            log.warning("the command did not end %.0f s after SIGTERM; killing it", grace)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()


def _end_with_us() -> Callable[[], object] | None:
    if sys.platform != "linux":
        return None
    function = ctypes.CDLL(None).prctl
    return lambda: function(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
