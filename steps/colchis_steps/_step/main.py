"""What every step shares: errors with exit codes, output files, progress and the entry point.

StepError            1   our bug
├── Rejected         3   a gate said no and the caller asked for that to be a failure
├── InputError      65   data, configuration or permission is wrong; the message says the fix
└── TransientError  75   a dependency is away, throttled or late; running the step again may help
"""

import contextlib
import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from colchis_steps._step.errors import StepError, TransientError
from colchis_steps._step.text import one_line, printable

ALIVE_FD = "COLCHIS_ALIVE_FD"
TERMINATION_LOG = Path(os.environ.get("COLCHIS_TERMINATION_LOG", "/dev/termination-log"))  # a local run names a file
SENTENCE = 2000  # characters of an error's sentence; Kubernetes keeps 4096 bytes of a termination log
log = logging.getLogger("colchis")


class Printable(logging.Formatter):
    """Lines in which nothing acts on a terminal, whoever wrote what they say."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback below it."""
        return printable(super().format(record))


@contextlib.contextmanager
def alive_pipe() -> Iterator[tuple[dict[str, str], Sequence[int]]]:
    """Yield a child's environment and file descriptors such that it ends when this process does, even by kill -9."""
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
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Printable("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logging.basicConfig(handlers=[handler], level=os.environ.get("LOG_LEVEL", "INFO"))
        logging.getLogger("botocore").setLevel("WARNING")
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _on_sigterm)
        _end_with_parent()
        try:
            main(argv)
            sys.stdout.flush()
        except BrokenPipeError:  # who reads, such as `head`, has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except StepError as error:
            sentence = one_line(str(error), SENTENCE)
            log.error("%s", sentence)  # noqa: TRY400 - the sentence says it; a traceback would bury it
            _tell_engine(sentence)
            return error.exit_code
        except SystemExit as error:
            if error.code:
                _tell_engine("the step's flags are wrong; the last line of its log says which, so correct the template")
            raise
        except Exception as error:
            what = one_line(f"{type(error).__name__}: {error}", 256)
            _tell_engine(f"{what}; this is a bug, see the traceback in the log")
            raise
        return 0

    return run
