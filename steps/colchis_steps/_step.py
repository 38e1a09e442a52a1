"""What every step shares: errors with exit codes, output files, progress and the entry point.

StepError            1   our bug
├── Rejected         3   a gate said no and the caller asked for that to be a failure
├── InputError      65   data, configuration or permission is wrong; the message says the fix
└── TransientError  75   a dependency is away, throttled or late; running the step again may help
"""

import argparse
import contextlib
import functools
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

ALIVE_FD = "COLCHIS_ALIVE_FD"
TERMINATION_LOG = Path(os.environ.get("COLCHIS_TERMINATION_LOG", "/dev/termination-log"))  # a local run names a file
log = logging.getLogger("colchis")


class StepError(Exception):
    """The one sentence that a user reads when a step fails: what is wrong, with values; what to do."""

    exit_code = 1


class Rejected(StepError):  # noqa: N818 - a "no" is a result; it is raised only where the caller wants a failure
    """A gate or a canary said no and ``--fail-on-reject`` asks for that to end the run."""

    exit_code = 3


class InputError(StepError):
    """Data, configuration or permission is wrong: trying again changes nothing."""

    exit_code = 65


class TransientError(StepError):
    """A dependency is away, throttled or late, or a peer is lost: trying again may help."""

    exit_code = 75


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write ``content`` to ``path`` so that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_output(path: Path | None, value: str) -> None:
    """Write an output parameter where the engine reads it; without a path the caller did not ask for it."""
    if path is not None:
        write_atomically(path, value)


def progress(done: int, total: int) -> None:
    """Tell the engine, through ``$ARGO_PROGRESS_FILE`` where that is set, that ``done`` of ``total`` is done."""
    if path := os.environ.get("ARGO_PROGRESS_FILE"):
        write_atomically(Path(path), f"{done}/{total}\n")


def boolean(text: str) -> bool:
    """Parse the flag values ``true`` and ``false``; Argo's parameters are strings."""
    if text not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def run_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that each step of a run has: where the store is and which run this is."""
    parser.add_argument("--store", required=True, metavar="URL", help="s3://bucket/prefix or file:///directory")
    parser.add_argument("--run", required=True, metavar="ID", help="the run's id; the same one again resumes")


@contextlib.contextmanager
def alive_pipe() -> Iterator[tuple[dict[str, str], Iterable[int]]]:
    """Give a child's environment and file descriptors such that it ends when this process does, even by kill -9."""
    read, write = os.pipe()
    try:
        yield {ALIVE_FD: str(read)}, (read,)
    finally:
        os.close(read)
        os.close(write)


def _end_with_parent() -> None:
    """Send this process SIGTERM when the parent's end of the pipe in ``$COLCHIS_ALIVE_FD`` closes."""
    if (fd := os.environ.pop(ALIVE_FD, None)) is None:
        return

    def watch() -> None:
        os.read(int(fd), 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def _tell_engine(sentence: str) -> None:
    with contextlib.suppress(OSError):
        if TERMINATION_LOG.exists():
            TERMINATION_LOG.write_text(f"{sentence}\n")


def _on_sigterm(*_: object) -> NoReturn:
    raise TransientError("the step was asked to stop (SIGTERM); run it again and it goes on where it was")


def _forked() -> None:
    """Let a child that was forked end by SIGTERM as any process does.

    Raising there is lost where a library catches all, as the workers of KServe's downloader do while they begin; a pool
    that ended its workers then waited for ever for the one that went on.
    """
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_forked)


class Main(Protocol):
    """A step's ``main``: the process's own arguments where none are given; returns the exit code."""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run the step."""


def entrypoint(main: Callable[[Sequence[str] | None], None]) -> Main:
    """Turn a step's ``main`` into one that returns the exit code of contract 2.

    A StepError's sentence goes to stderr and to the termination log, which the Argo UI shows on the node. Any other
    exception keeps its traceback and exit code 1; the termination log names it, or says that the flags are wrong.
    """

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        logging.basicConfig(
            stream=sys.stderr,
            level=os.environ.get("LOG_LEVEL", "INFO"),
            format="%(asctime)s %(levelname)s %(message)s",
            datefmt="%H:%M:%S",
        )
        logging.getLogger("botocore").setLevel("WARNING")
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _on_sigterm)
        _end_with_parent()
        try:
            main(argv)
        except StepError as error:
            log.error("%s", error)  # noqa: TRY400 - the sentence says it; a traceback would bury it
            _tell_engine(str(error))
            return error.exit_code
        except SystemExit as error:
            if error.code:
                _tell_engine("the step's flags are wrong; the last line of its log says which, so correct the template")
            raise
        except Exception as error:
            _tell_engine(f"{type(error).__name__}: {error}"[:256] + "; this is a bug, see the traceback in the log")
            raise
        return 0

    return run
