"""Waiting for what nobody announces: ask again and again, until it is so or the time is over."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from colchis_steps._step.errors import TransientError

T = TypeVar("T")
PATIENT = 5.0  # seconds of waiting that are nothing to tell of
log = logging.getLogger("colchis")


def poll(found: Callable[[], T | None], seconds: float, interval: float = 0.1) -> T | None:
    """Return the first result that is not None, or None when the time is over; it is asked once more at its end."""
    deadline = time.monotonic() + seconds
    while (result := found()) is None and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(interval, left))
    return result


def wait_until(seconds: float, missing: Callable[[], str], what: str, interval: float = 0.5) -> None:
    """Poll until ``missing`` returns an empty string; what it says is logged as it changes.

    Raises:
        TransientError: the time is over; the sentence says what was missing last.
    """
    began, last, said, at = time.monotonic(), "", "", 0.0

    def done() -> bool | None:
        nonlocal last, said, at
        if not (last := missing()):
            return True
        passed = time.monotonic() - began
        if last != said and passed - at >= PATIENT:
            log.info("%s after %.0f s: %s", what, passed, last)
            said, at = last, passed
        return None

    if poll(done, seconds, interval) is None:
        raise TransientError(f"{what} after {seconds:.0f} s: {last}")


@contextlib.contextmanager
def repeating(action: Callable[[], object], seconds: float, name: str) -> Iterator[None]:
    """Let a thread of this name do something every so many seconds meanwhile; not any more at the end."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
