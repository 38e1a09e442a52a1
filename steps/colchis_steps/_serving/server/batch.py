"""Dynamic batching: requests that come while the model computes are computed together next.

A request starts at once while nothing of its model computes. Otherwise it waits for that computation to end, for the
batch to be full, or for ``delay`` to be over with a thread free, whichever is first; meanwhile others join it. So
collecting and computing overlap, and a lone request never waits. Several are gathered for as long as each turn of the
event loop brings more. Requests are put together only where their rows have one shape and where the model was seen to
treat rows apart (``SavedModel.rows_apart``).

Batches that were seen to be short are computed in the event loop (see pace): a thread would cost more than they do.
Only of a model that is steady, as the next batch of another may take any time, and all others would wait for it.
"""

import asyncio
import logging
import time
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

from colchis_steps._serving.server.pace import Pace
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._tensors.tensor import Arrays

log = logging.getLogger("colchis")


Labels = tuple[str, str]  # model and version, as the metrics name them


Answer = Callable[[Arrays], Any]


class Model(Protocol):
    """What computes; ``rows_apart``: each row of the inputs has a row of each output, the same in any batch.

    ``steady``: how long it computes hangs on the shapes of its inputs, and not on the values.
    """

    rows_apart: bool
    steady: bool

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


@dataclass(eq=False, slots=True)
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
    pace: Pace
    waiting: deque[_Asked] = field(default_factory=deque)
    rows: int = 0
    running: int = 0


class Batcher:
    """All batches of a server; everything but the computing of long batches happens in the event loop's thread."""

    def __init__(self, pool: Executor, threads: int, limits: Limits, observe: Observer) -> None:
        self._pool, self._free, self._limits, self._observe = pool, threads, limits, observe
        self._groups: dict[Hashable, _Group] = {}  # those with work; so a model that was let go is not held here
        self._paces: weakref.WeakKeyDictionary[Model, Pace] = weakref.WeakKeyDictionary()
        self.waiting = 0
        self._due = False
        self._timer: asyncio.TimerHandle | None = None

    def predict(self, model: Model, labels: Labels, arrays: Arrays, answer: Answer) -> "asyncio.Future[Any]":
        """Return ``answer`` of the model's outputs for these inputs; both run in a thread, or here if they take little.

        Raises:
            Refused: 429 where too many requests wait; else what the model or ``answer`` raise for this request alone.
        """
        if self.waiting >= self._limits.waiting:
            raise Refused(429, f"{self.waiting} requests wait already; ask again in a second, or add a replica")
        lengths = {len(array) if array.ndim else 0 for array in arrays.values()}
        apart = model.rows_apart and len(lengths) == 1
        rows = lengths.pop() if apart else self._limits.rows  # one that fills a batch shares it with none
        key = (model, *[(name, array.shape[1:]) for name, array in arrays.items()])
        group = self._groups.get(key) or self._groups.setdefault(key, _Group(model, self._pace(model, key[1:])))
        loop = asyncio.get_running_loop()
        asked = _Asked(labels, arrays, answer, rows, loop.create_future(), time.monotonic())
        group.waiting.append(asked)
        group.rows += rows
        self.waiting += 1
        self._look_soon(loop)
        return asked.future

    def _pace(self, model: Model, shape: tuple[Any, ...]) -> Pace:
        """Return what is known of the model's batches of this shape; of another shape nothing is."""
        found = self._paces.get(model)
        if found is None or found.shape != shape:
            found = self._paces[model] = Pace(shape)
        return found

    def _look_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look after what else this turn of the loop brings, so that requests at one time share a batch."""
        if not self._due:
            self._due = True
            loop.call_soon(self._gather, loop, 1)

    def _gather(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        """Look, once a turn of the loop has brought no more: clients that were answered together ask again together."""
        if before < self.waiting < self._limits.rows:
            loop.call_soon(self._gather, loop, self.waiting)
        else:
            self._look()

    def _look(self) -> None:
        """Start what may start, the longest waiting first; set the clock for what may start later."""
        self._due, now, later = False, time.monotonic(), None
        loop = asyncio.get_running_loop()
        groups = [group for group in self._groups.values() if group.waiting]
        for group in sorted(groups, key=lambda g: g.waiting[0].since) if len(groups) > 1 else groups:
            while group.waiting:
                if self._is_short(group):
                    self._compute_here(group)
                    if group.waiting:  # after the loop's other work
                        self._look_soon(loop)
                    break
                if not self._free:
                    break
                over = group.waiting[0].since + self._limits.delay
                if group.running and group.rows < self._limits.rows and now < over:
                    later = over if later is None else min(later, over)
                    break
                self._start(group)
        if self._timer:
            self._timer.cancel()
        self._timer = loop.call_later(later - now, self._look) if later is not None else None

    def _is_short(self, group: _Group) -> bool:
        """Return whether the next batch is as those that were short: of so few rows, and of numbers."""
        if not (group.pace.short and group.model.steady):
            return False
        arrays = group.waiting[0].arrays.values()
        return all(array.dtype != object and len(array) <= self._limits.rows for array in arrays if array.ndim)

    def _compute_here(self, group: _Group) -> None:
        batch, began = self._taken(group), group.pace.begin()
        results = _computed(group.model, batch)
        group.pace.note_here(began)
        self._end(group, batch, results, began[0])

    def _start(self, group: _Group) -> None:
        batch = self._taken(group)
        group.running += 1
        self._free -= 1
        loop, began = asyncio.get_running_loop(), time.monotonic()

        def work() -> None:
            results = _computed(group.model, batch)
            loop.call_soon_threadsafe(ended, results)

        def ended(results: list[Any]) -> None:
            self._free += 1
            group.running -= 1
            group.pace.note(time.monotonic() - began)
            self._end(group, batch, results, began)
            self._look()

        self._pool.submit(work)

    def _taken(self, group: _Group) -> list[_Asked]:
        """Take the next batch from those that wait."""
        batch = [group.waiting.popleft()]
        rows = batch[0].rows
        while group.waiting and rows + group.waiting[0].rows <= self._limits.rows:
            batch.append(group.waiting.popleft())
            rows += batch[-1].rows
        group.rows -= rows
        self.waiting -= len(batch)
        return batch

    def _end(self, group: _Group, batch: list[_Asked], results: list[Any], began: float) -> None:
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
        self._observe(batch[0].labels, rows, [began - asked.since for asked in batch], time.monotonic() - began)


def _computed(model: Model, batch: Sequence[_Asked]) -> list[Any]:
    """Return the answer or an exception for each request; where they fail together each is tried alone."""
    if len(batch) > 1:
        try:
            joined = {name: np.concatenate([asked.arrays[name] for asked in batch]) for name in batch[0].arrays}
            outputs = model.predict(joined)
            ends = [*accumulate(asked.rows for asked in batch)]
            if any(len(array) != ends[-1] for array in outputs.values()):
                raise ValueError("the outputs are not row by row")  # noqa: TRY301 - to where it is tried alone
        except Exception as error:  # noqa: BLE001 - it goes to the one whose rows raise it alone
            log.debug("%d requests do not go together: %s", len(batch), error)
        else:
            return [_answered(asked, outputs, end) for asked, end in zip(batch, ends, strict=True)]
    return [_alone(model, asked) for asked in batch]


def _alone(model: Model, asked: _Asked) -> Any:
    try:
        return asked.answer(model.predict(asked.arrays))
    except Exception as error:  # noqa: BLE001 - handed over to the request
        return error


def _answered(asked: _Asked, outputs: Arrays, end: int) -> Any:
    """Answer with the request's own rows of the batch, which end at ``end``."""
    try:
        return asked.answer({name: array[end - asked.rows : end] for name, array in outputs.items()})
    except Exception as error:  # noqa: BLE001 - handed over to the request
        return error
