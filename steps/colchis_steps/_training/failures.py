"""Failures of a worker whose cause lies outside of it, and the document that a failing worker leaves."""

from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.keys import failure_key
from colchis_steps._formats.training import Cause, Failure
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document


class CommandError(InputError):
    """The user's command ended with an exit code of its own."""


class PeerError(TransientError):
    """Another worker was lost, or was asked to stop; the sentence names this worker."""


class MeetingError(TransientError):
    """The workers did not all find each other; the sentence names one of them."""


CAUSES: dict[type[StepError], Cause] = {
    CommandError: Cause.COMMAND,
    PeerError: Cause.PEER,
    MeetingError: Cause.MEETING,
}


def leave_failure(store: Objects, run: str, rank: int, error: StepError) -> None:
    """Write why this worker failed."""
    failure = Failure(cause=CAUSES.get(type(error), Cause.HERE), sentence=str(error), at=now())
    store.write(failure_key(run, rank), encode(failure))


def find_failure(store: Objects, run: str, rank: int) -> Failure | None:
    """Return why a worker failed, or None where it left nothing; one that starts removes its own."""
    return find_document(store, failure_key(run, rank), Failure)
