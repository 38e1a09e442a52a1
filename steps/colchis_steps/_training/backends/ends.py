"""How a worker ended, and the sentence for it."""

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from colchis_steps._formats.training import Cause
from colchis_steps._step.errors import InputError, StepError, TransientError

LAST_WORDS = re.compile(r"\d\d:\d\d:\d\d ERROR ")  # how a worker logs its error, which is reported at the end
AGAIN = "run it again, and it goes on from the last checkpoint"


@dataclass(frozen=True)
class End:
    """How a worker ended: its exit code (below zero: the signal), or none where it had to be ended."""

    rank: int
    code: int | None
    frozen: bool = False
    sentence: str = ""  # what it left, or what the cluster says of it
    last_line: str = ""  # of its log
    cause: Cause = Cause.HERE


def explain(ends: Sequence[End], workers: int) -> StepError:
    """Turn how workers ended into the one error that says why; ``ends`` are in the order in which they were seen.

    The first cause wins over what it caused: bad input, then a worker that froze, one that was killed, one that broke,
    and only then those that lost their peers.
    """
    order: tuple[Callable[[End], bool], ...] = (
        lambda end: end.code == InputError.exit_code and end.cause is not Cause.COMMAND,
        lambda end: end.frozen,
        lambda end: end.code is not None and end.code < 0 and end.code != -signal.SIGABRT,
        lambda end: end.code is not None and end.code > 0 and end.code != TransientError.exit_code,
        lambda end: bool(end.code) and end.cause is not Cause.PEER,
        lambda end: bool(end.code),
    )
    first = next(end for applies in order for end in ends if applies(end))
    name = f"worker {first.rank} of {workers}"
    if first.code == InputError.exit_code:
        return InputError(first.sentence or f"{name}: {first.last_line}")
    if first.frozen:
        return TransientError(f"{name} stopped answering (frozen, or its machine is overloaded); {AGAIN}")
    if first.code == TransientError.exit_code:
        if not first.sentence:
            return TransientError(f"{name}: lost its peers: {first.last_line}; {AGAIN}")
        names_a_worker = first.cause in {Cause.PEER, Cause.MEETING}
        return TransientError(first.sentence if names_a_worker else f"{name}: {first.sentence}")
    if first.code is not None and first.code < 0:
        killed = first.code == -signal.SIGKILL
        reason = ": by hand, or for memory" if killed else ""
        last = f"; its log ends with {first.last_line!r}" if first.last_line and not killed else ""
        return TransientError(f"{name} was killed ({signal.Signals(-first.code).name}{reason}){last}; {AGAIN}")
    return StepError(f"{name} ended with exit code {first.code}: {first.last_line}; its whole log says more")
