"""Bad input that an early part of a step meets: the last part reports it, as the step's own end.

Argo has no exit code for a container that comes before the main one; what that one says shows on the node.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from colchis_steps._formats.documents import encode
from colchis_steps._formats.evaluation import Refusal
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import find_document
from colchis_steps._store.opening import open_store

REFUSAL = "refusal.json"


@contextlib.contextmanager
def refused(directory: Path) -> Iterator[None]:
    """Note bad input in the directory, and go on."""
    try:
        yield
    except InputError as error:
        open_store(directory.as_uri()).write(REFUSAL, encode(Refusal(str(error))))


def is_refused(directory: Path) -> bool:
    """Return whether a part has noted bad input."""
    return (directory / REFUSAL).exists()


def check_refusal(directory: Path) -> None:
    """Raise InputError with what a part has noted, if it has."""
    if found := find_document(open_store(directory.as_uri()), REFUSAL, Refusal):
        raise InputError(found.message)
