"""A sample of requests and their answers, kept in the store for drift checks. Off unless a server is asked for it.

Writes  requests/<model>/<version>/<day>/<time>-<hex>.json   a batch of them, each object whole

What is kept is what the model saw and said: no header, no address, no id of a client. Requests never wait for the
store: what the bounded queue has no room for, or the store does not take, is counted and dropped.
"""

import contextlib
import logging
import queue
import random
import secrets
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.keys import requests_key
from colchis_steps._formats.requests import Logged, RequestLog
from colchis_steps._serving.server.metrics import Metrics
from colchis_steps._step.errors import StepError
from colchis_steps._store.api import Objects
from colchis_steps._tensors.tensor import Arrays

ROOM = 1024  # requests that wait to be written
BATCH = 256  # requests of an object, at most
PERIOD = 10.0  # seconds between objects, at most
LARGEST = 1 << 16  # values of a request that is kept
log = logging.getLogger("colchis")


class Sampler:
    """Takes a fraction of the requests; a thread of its own writes them."""

    def __init__(self, store: Objects, fraction: float, metrics: Metrics) -> None:
        self._store, self._fraction, self._metrics = store, fraction, metrics
        self._queue: queue.Queue[tuple[str, int, Logged] | None] = queue.Queue(ROOM)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def offer(self, model: str, version: int, inputs: Arrays, outputs: Arrays) -> None:
        """Take the request if chance and room have it so; never waits."""
        if random.random() >= self._fraction:  # noqa: S311 - a sample, no secret
            return
        if sum(array.size for array in (*inputs.values(), *outputs.values())) > LARGEST:
            self._metrics.unlogged.inc()
            return
        try:
            self._queue.put_nowait((model, version, Logged(now(), _asked(inputs), _plain(outputs))))
        except queue.Full:
            self._metrics.unlogged.inc()
        else:
            self._metrics.logged.labels(model, str(version)).inc()

    def close(self, seconds: float = 5.0) -> None:
        """Write what is taken, and end."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=seconds)
        self._thread.join(seconds)

    def _write(self) -> None:
        over = False
        while not over:
            taken: dict[tuple[str, int], list[Logged]] = defaultdict(list)
            due, count = None, 0
            while count < BATCH:
                try:
                    item = self._queue.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
                except queue.Empty:
                    break
                if item is None:
                    over = True
                    break
                taken[item[:2]].append(item[2])
                due, count = due or time.monotonic() + PERIOD, count + 1
            for (model, version), requests in taken.items():
                self._put(RequestLog(model, version, self._fraction, tuple(requests)))

    def _put(self, document: RequestLog) -> None:
        day, at = datetime.now(UTC).strftime("%Y-%m-%d %H%M%S").split()
        key = requests_key(document.model, document.version, day, f"{at}-{secrets.token_hex(4)}")
        try:
            self._store.create(key, encode(document))
        except (StepError, msgspec.MsgspecError) as error:
            log.warning("%d requests are not logged: %s", len(document.requests), error)
            self._metrics.unlogged.inc(len(document.requests))


def _plain(arrays: Arrays) -> dict[str, Any]:
    return {
        name: np.vectorize(_text, otypes=[object])(array).tolist() if array.dtype == object else array.tolist()
        for name, array in arrays.items()
    }


def _asked(arrays: Arrays) -> dict[str, Any]:
    """Return inputs as a client may ask them again: NaN came of a null, and is one."""
    found = _plain(arrays)
    for name, array in arrays.items():
        if array.dtype.kind == "f" and np.isnan(array).any():
            values = array.astype(object)
            values[np.isnan(array)] = None
            found[name] = values.tolist()
    return found


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
