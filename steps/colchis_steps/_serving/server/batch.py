"""Dynamic batching: requests that come while the model computes are computed together next.

A request starts at once while nothing of its model computes. Otherwise it waits for that computation to end, for the
batch to be full, or for ``delay`` to be over with a thread free, whichever is first; meanwhile others join it. So
collecting and computing overlap, and a lone request never waits. Requests are put together only where their rows have
one shape and where the model was seen to treat rows apart (``SavedModel.rows_apart``).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from colchis_steps._savedmodel.loading import Arrays
from colchis_steps._serving.server.refusals import Refused

log = logging.getLogger("colchis")


Labels = tuple[str, str]  # model and version, as the metrics name them


Answer = Callable[[Arrays], Any]


class Model(Protocol):
    """What computes; ``rows_apart``: each row of the inputs has a row of each output, the same in any batch."""

    rows_apart: bool

    def predict(self, arrays: Arrays) -> Arrays:
        """Return the outputs."""


@dataclass(frozen=True)
class Limits:
    """Rows of a batch, seconds that a request waits at most while a thread is free, requests that wait at most."""

    rows: int = 32
    delay: float = 0.003
    waiting: int = 256


class Observer(Protocol):
    """What is reported of each batch: whose it is, its rows, how long each request waited and it took (seconds)."""

    def __call__(self, labels: Labels, rows: int, waited: Sequence[float], seconds: float) -> None:
        """Note a batch."""


@dataclass(frozen=True, eq=False)
class _Asked:
    labels: Labels
    arrays: Arrays
    answer: Answer
    rows: int
    future: "asyncio.Future[Any]"
    since: float


@dataclass(eq=False)
class _Group:
    """Requests that may share a batch."""

    model: Model
    waiting: deque[_Asked] = field(default_factory=deque)
    rows: int = 0
    running: int = 0


class Batcher:
    """All batches of a server; everything but the computing happens in the event loop's thread."""

    def __init__(self, pool: Executor, threads: int, limits: Limits, observe: Observer) -> None:
        self._pool, self._free, self._limits, self._observe = pool, threads, limits, observe
        self._groups: dict[Hashable, _Group] = {}  # those with work; so a model that was let go is not held here
        self.waiting = 0
        self._due = False
        self._timer: asyncio.TimerHandle | None = None

    async def predict(self, model: Model, labels: Labels, arrays: Arrays, answer: Answer) -> Any:
        """Return ``answer`` of the model's outputs for these inputs; both run in a thread.

        Raises:
            Refused: 429 where too many requests wait; else what the model or ``answer`` raise for this request alone.
        """
        if self.waiting >= self._limits.waiting:
            raise Refused(429, f"{self.waiting} requests wait already; ask again in a second, or add a replica")
        lengths = {len(array) if array.ndim else 0 for array in arrays.values()}
        apart = model.rows_apart and len(lengths) == 1
        rows = lengths.pop() if apart else self._limits.rows  # one that fills a batch shares it with none
        key = (model, *((name, arrays[name].shape[1:]) for name in sorted(arrays)))
        group = self._groups.get(key) or self._groups.setdefault(key, _Group(model))
        loop = asyncio.get_running_loop()
        asked = _Asked(labels, arrays, answer, rows, loop.create_future(), time.monotonic())
        group.waiting.append(asked)
        group.rows += rows
        self.waiting += 1
        if not self._due:  # after what else this turn of the loop brings, so that requests at one time share a batch
            self._due = True
            loop.call_soon(self._look)
        return await asked.future

    def _look(self) -> None:
        """Start what may start, the longest waiting first; set the clock for what may start later."""
        self._due, now, later = False, time.monotonic(), None
        for group in sorted((g for g in self._groups.values() if g.waiting), key=lambda g: g.waiting[0].since):
            while group.waiting and self._free:
                over = group.waiting[0].since + self._limits.delay
                if group.running and group.rows < self._limits.rows and now < over:
                    later = over if later is None else min(later, over)
                    break
                self._start(group)
        if self._timer:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(later - now, self._look) if later is not None else None

    def _start(self, group: _Group) -> None:
        batch, rows = [group.waiting.popleft()], 0
        rows = batch[0].rows
        while group.waiting and rows + group.waiting[0].rows <= self._limits.rows:
            batch.append(group.waiting.popleft())
            rows += batch[-1].rows
        group.rows -= rows
        group.running += 1
        self.waiting -= len(batch)
        self._free -= 1
        loop, began = asyncio.get_running_loop(), time.monotonic()

        def work() -> None:
            results = _computed(group.model, batch)
            loop.call_soon_threadsafe(self._ended, group, batch, results, began)

        self._pool.submit(work)

    def _ended(self, group: _Group, batch: list[_Asked], results: list[Any], began: float) -> None:
        self._free += 1
        group.running -= 1
        for asked, result in zip(batch, results, strict=True):
            if asked.future.done():
                continue  # its client is gone
            if isinstance(result, BaseException):
                asked.future.set_exception(result)
            else:
                asked.future.set_result(result)
        if not group.waiting and not group.running:
            self._groups = {key: found for key, found in self._groups.items() if found is not group}
        rows = sum(asked.rows for asked in batch) if group.model.rows_apart else 1
        waited = [began - asked.since for asked in batch]
        self._observe(batch[0].labels, rows, waited, time.monotonic() - began)
        self._look()


def _computed(model: Model, batch: Sequence[_Asked]) -> list[Any]:
    """Return the answer or an exception for each request; where they fail together each is tried alone."""
    if len(batch) > 1:
        try:
            joined = {name: np.concatenate([asked.arrays[name] for asked in batch]) for name in batch[0].arrays}
            outputs = model.predict(joined)
            ends = np.cumsum([asked.rows for asked in batch])
            if any(len(array) != ends[-1] for array in outputs.values()):
                raise ValueError("the outputs are not row by row")  # noqa: TRY301 - to where it is tried alone
        except Exception as error:  # noqa: BLE001 - it goes to the one whose rows raise it alone
            log.debug("%d requests do not go together: %s", len(batch), error)
        else:
            parts = [
                {name: array[end - asked.rows : end] for name, array in outputs.items()}
                for asked, end in zip(batch, ends, strict=True)
            ]
            return [_answered(asked, partial(dict, part)) for asked, part in zip(batch, parts, strict=True)]
    return [_answered(asked, partial(model.predict, asked.arrays)) for asked in batch]


def _answered(asked: _Asked, outputs: Callable[[], Arrays]) -> Any:
    try:
        return asked.answer(outputs())
    except Exception as error:  # noqa: BLE001 - handed over to the request
        return error
