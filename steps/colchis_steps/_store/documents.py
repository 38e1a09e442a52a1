"""Documents in a store, and the record that a step keeps of itself."""

import contextlib
import logging
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from colchis_steps._formats.documents import D, Part, Unreadable, decode, encode, now
from colchis_steps._formats.keys import earlier_result_key, result_key
from colchis_steps._formats.runs import StepResult
from colchis_steps._step.errors import StepError
from colchis_steps._step.tail import tail
from colchis_steps._step.text import one_line
from colchis_steps._store.api import NotFound, Objects, TooLarge

DOCUMENT = 32 << 20  # bytes: the manifest of a model of 200,000 files, or 1,000,000 epochs
log = logging.getLogger("colchis")


def read_document(store: Objects, key: str, kind: type[D]) -> D:
    """Read a document of the kind.

    Raises:
        NotFound: there is none.
        Unreadable: it is damaged, of another kind, or larger than any document.
    """
    return decode(kind, document_bytes(store, key), f"{store.url}/{key}")


def document_bytes(store: Objects, key: str) -> bytes:
    """Return a document as it is stored. Raises NotFound, or Unreadable where it is larger than any document."""
    try:
        return store.read(key, DOCUMENT)
    except TooLarge as error:
        raise Unreadable(str(error)) from error


def find_document(store: Objects, key: str, kind: type[D]) -> D | None:
    """Read a document of the kind; return None where there is none. Raises Unreadable."""
    try:
        return read_document(store, key, kind)
    except NotFound:
        return None


def legible_document(store: Objects, key: str, kind: type[D]) -> D | None:
    """Read a document for a list, where one must not hide the others: one that is Unreadable is a warning, and None."""
    try:
        return find_document(store, key, kind)
    except Unreadable as error:
        log.warning("left out: %s", error)
        return None


def find_step(store: Objects, run: str, step: str) -> StepResult | None:
    """Read what a step of the run recorded, an earlier release's too; return None where there is none.

    Raises:
        Unreadable: it is damaged.
    """
    found = find_document(store, key := result_key(run, step), StepResult)
    if found or (earlier := earlier_result_key(run, step)) == key:
        return found
    return find_document(store, earlier, StepResult)


def find_steps(store: Objects, run: str, steps: Iterable[str]) -> dict[str, StepResult]:
    """Read what these steps of the run recorded, those that did. Raises Unreadable."""
    found = {step: find_step(store, run, step) for step in steps}
    return {step: result for step, result in found.items() if result}


class Recorder:
    """What a step tells of itself while it runs."""

    def __init__(self) -> None:
        self.outputs: dict[str, str] = {}
        self.verdict = ""
        self.details: Part | None = None
        self.message = ""


@contextlib.contextmanager
def recorded(
    store: Objects, run: str, step: str, inputs: Mapping[str, Any], began: float | None = None
) -> Iterator[Recorder]:
    """Write ``runs/<run>/<step>.json`` (``training/train.json``) when the step begins and when it ends, failed or not.

    A step that ends without its last record was killed: the record says "running". ``began`` is when a part before
    this process began, in seconds since 1970.
    """
    earlier = max(0.0, time.time() - began) if began is not None else 0.0
    recorder, key, started, clock = Recorder(), result_key(run, step), now(earlier), time.monotonic() - earlier
    given = {name.replace("_", "-"): str(value) for name, value in inputs.items() if value is not None}

    def write(status: str, message: str = "", log: tuple[str, ...] = ()) -> None:
        details: dict[str, Any] = msgspec.to_builtins(recorder.details) if recorder.details else {}
        store.write(
            key,
            encode(
                StepResult(
                    step=step,
                    run=run,
                    status=status,
                    message=message or recorder.message,
                    inputs=given,
                    outputs=recorder.outputs,
                    verdict=recorder.verdict,
                    started_at=started,
                    finished_at="" if status == "running" else now(),
                    seconds=round(time.monotonic() - clock, 3),
                    details=details,
                    log=log,
                )
            ),
        )

    write("running")
    try:
        with tail() as lines:
            yield recorder
    except BaseException as error:
        if not isinstance(error, StepError):
            lines.add("".join(traceback.format_exception(error)))
        told = one_line(str(error), 2000) if isinstance(error, StepError) else f"{type(error).__name__}: {error}"[:256]
        with contextlib.suppress(StepError):  # the step's own error is the one to tell
            write("failed", told, tuple(lines.lines))
        raise
    write("succeeded")
