"""Where batches are computed: in threads until they are seen to be short, and again once one is long."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from colchis_steps._serving.server import batch
from colchis_steps._serving.server.batch import Batcher, Limits
from colchis_steps._serving.server.pace import SEEN, SHORT, Pace
from colchis_steps._tensors.tensor import Arrays


def told(pace: Pace, *seconds: float) -> bool:
    for each in seconds:
        pace.note(each)
    return pace.short


def test_a_model_is_short_once_some_batches_were_seen() -> None:
    pace = Pace(())
    assert not told(pace, *[SHORT / 10] * (SEEN - 1))
    assert told(pace, SHORT / 10)


def test_in_threads_the_shortest_counts_as_others_wait_for_the_lock() -> None:
    assert told(Pace(()), SHORT / 10, *[SHORT * 20] * (SEEN - 1))
    assert not told(Pace(()), *[SHORT * 2] * SEEN * 3)


@pytest.mark.parametrize("batches", [[SHORT * SEEN], [SHORT * 8] * 2, [SHORT * 2] * (SEEN // 2)])
def test_one_long_batch_or_some_that_are_not_short_go_back_to_threads_at_once(batches: list[float]) -> None:
    pace = Pace((), short=True)
    assert not told(pace, *batches)
    assert not told(pace, *[SHORT / 10] * (SEEN * 2 - 1))
    assert told(pace, SHORT / 10)  # and come back when they are short again
    assert not told(pace, *batches)
    assert not told(pace, *[SHORT / 10] * (SEEN * 4 - 1))  # each time later
    assert told(pace, SHORT / 10)


def test_batches_that_stay_short_stay_in_the_loop() -> None:
    assert told(Pace((), short=True), *[SHORT / 2] * SEEN * 4)


class Telling:
    """Tells in which thread it was called, and with how many rows."""

    rows_apart = True

    def __init__(self, *, steady: bool = True) -> None:
        self.steady = steady
        self.called = list[tuple[bool, int]]()

    def predict(self, arrays: Arrays) -> Arrays:
        self.called.append((threading.current_thread() is threading.main_thread(), len(arrays["x"])))
        return {"y": arrays["x"]}


def asked(
    monkeypatch: pytest.MonkeyPatch, *together: np.ndarray[Any, Any], steady: bool = True
) -> tuple[list[tuple[bool, int]], list[Any]]:
    """Ask at once, of a model whose batches are known to be short; return its calls and the answers."""
    monkeypatch.setattr(batch, "Pace", lambda shape: Pace(shape, short=True))
    model = Telling(steady=steady)

    async def story() -> list[Any]:
        with ThreadPoolExecutor(2) as pool:
            batcher = Batcher(pool, 2, Limits(rows=4, delay=3600), lambda *_: None)
            answers = [batcher.predict(model, ("m", "1"), {"x": x}, lambda out: out["y"].tolist()) for x in together]
            found = await asyncio.gather(*answers)
            assert batcher.waiting == 0
            assert batcher._groups == {}
            return found

    return model.called, asyncio.run(story())


def test_short_batches_are_computed_in_the_loop_and_put_together_there(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, answers = asked(monkeypatch, *(np.array([n]) for n in range(6)))
    assert calls == [(True, 4), (True, 2)]
    assert answers == [[0], [1], [2], [3], [4], [5]]


def test_more_rows_than_a_batch_has_and_text_go_to_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, np.arange(5)) == ([(False, 5)], [[0, 1, 2, 3, 4]])
    assert asked(monkeypatch, np.array([b"a"], object)) == ([(False, 1)], [[b"a"]])


def test_a_model_whose_next_batch_may_take_any_time_stays_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, np.array([1]), steady=False) == ([(False, 1)], [[1]])


def test_of_another_shape_nothing_is_known() -> None:
    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(pool, 1, Limits(), lambda *_: None)
        model = Telling()
        first = batcher._pace(model, (("x", (2,)),))
        assert batcher._pace(model, (("x", (2,)),)) is first
        assert batcher._pace(model, (("x", (3,)),)) is not first
