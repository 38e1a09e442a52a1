"""Dynamic batching, with models of numpy: what is computed together, who waits, who fails."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from colchis_steps._serving.server.batch import Batcher, Limits
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._tensors.tensor import Arrays, ValuesError


class Doubling:
    """Doubles x; it counts the rows of each call, refuses rows of -1, and waits while its gate is shut."""

    steady = False  # it may wait

    def __init__(self, *, rows_apart: bool = True) -> None:
        self.rows_apart, self.calls, self.gate = rows_apart, list[int](), threading.Event()
        self.gate.set()

    def predict(self, arrays: Arrays) -> Arrays:
        x = arrays["x"]
        self.calls.append(len(x))
        assert self.gate.wait(10)
        if (x == -1).any():
            raise ValuesError("the model refuses -1")
        return {"y": x * 2}


class Desk:
    """A batcher, and what it told of its batches."""

    def __init__(self, threads: int = 2, **limits: Any) -> None:
        self.batches: list[tuple[int, int]] = []
        self.pool = ThreadPoolExecutor(threads)
        self.batcher = Batcher(self.pool, threads, Limits(**limits), self.note)

    def note(self, labels: tuple[str, str], rows: int, waited: Sequence[float], seconds: float) -> None:
        assert labels == ("m", "1")
        assert seconds >= 0
        self.batches.append((rows, len(waited)))

    async def ask(self, model: Doubling, *values: float) -> list[float]:
        def answer(outputs: Arrays) -> bytes:
            return outputs["y"].astype(np.float64).tobytes()

        content = await self.batcher.predict(model, ("m", "1"), {"x": np.array(values, np.float64)}, answer)
        return list(np.frombuffer(content))

    async def begun(self, model: Doubling, calls: int) -> None:
        async with asyncio.timeout(10):
            while len(model.calls) < calls:
                await asyncio.sleep(0.001)


def test_a_lone_request_waits_for_nothing() -> None:
    async def story() -> None:
        desk, model = Desk(delay=3600), Doubling()
        assert await asyncio.wait_for(desk.ask(model, 3), 10) == [6]
        assert desk.batches == [(1, 1)]

    asyncio.run(story())


def test_requests_of_one_turn_of_the_loop_after_another_share_a_batch() -> None:
    async def story() -> None:
        desk, model = Desk(delay=3600, rows=4), Doubling()
        asked = [asyncio.ensure_future(desk.ask(model, number)) for number in range(2)]
        for number in range(2, 5):
            await asyncio.sleep(0)
            asked.append(asyncio.ensure_future(desk.ask(model, number)))
        assert await asyncio.wait_for(asyncio.gather(*asked), 10) == [[0], [2], [4], [6], [8]]
        assert [count for _, count in desk.batches] == [4, 1]  # no turn is waited for once a batch is full

    asyncio.run(story())


def test_what_comes_while_the_model_computes_is_computed_together_next() -> None:
    async def story() -> None:
        desk, model = Desk(delay=3600, rows=32), Doubling()
        model.gate.clear()
        first = asyncio.ensure_future(desk.ask(model, 0))
        await desk.begun(model, 1)
        others = [asyncio.ensure_future(desk.ask(model, number, number + 0.5)) for number in range(1, 20)]
        await asyncio.sleep(0)
        model.gate.set()
        assert await first == [0]
        assert await asyncio.gather(*others) == [[2 * number, 2 * number + 1] for number in range(1, 20)]
        assert model.calls == [1, 32, 6]  # a batch has at most 32 rows, and no request is torn

    asyncio.run(story())


def test_collecting_goes_on_while_two_batches_are_computed() -> None:
    async def story() -> None:
        desk, model = Desk(threads=2, delay=3600, rows=2), Doubling()
        model.gate.clear()
        tasks = [asyncio.ensure_future(desk.ask(model, number)) for number in range(7)]
        await desk.begun(model, 2)  # the second is full, so it does not wait for the first
        assert desk.batcher.waiting == 3
        model.gate.set()
        assert [found[0] for found in await asyncio.gather(*tasks)] == [0, 2, 4, 6, 8, 10, 12]

    asyncio.run(story())


def test_no_request_waits_longer_than_the_delay_while_a_thread_is_free() -> None:
    async def story() -> None:
        desk, model = Desk(threads=2, delay=0.005), Doubling()
        model.gate.clear()
        tasks = [asyncio.ensure_future(desk.ask(model, 1))]
        await desk.begun(model, 1)
        tasks.append(asyncio.ensure_future(desk.ask(model, 2)))
        await desk.begun(model, 2)  # the first has not ended
        model.gate.set()
        assert await asyncio.gather(*tasks) == [[2], [4]]

    asyncio.run(story())


def test_one_poisoned_request_of_32_fails_alone() -> None:
    async def story() -> None:
        desk, model = Desk(threads=1, delay=3600), Doubling()
        model.gate.clear()
        first = asyncio.ensure_future(desk.ask(model, 0))
        await desk.begun(model, 1)
        tasks = [asyncio.ensure_future(desk.ask(model, -1 if number == 17 else number)) for number in range(32)]
        await asyncio.sleep(0)
        model.gate.set()
        await first
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [number for number, told in enumerate(found) if isinstance(told, ValuesError)] == [17]
        assert [told for told in found if not isinstance(told, ValuesError)] == [[2 * n] for n in range(32) if n != 17]
        assert model.calls == [1, 32, *[1] * 32]

    asyncio.run(story())


def test_rows_of_other_shapes_and_models_whose_rows_meet_are_not_put_together() -> None:
    async def story() -> None:
        desk, model, meeting = Desk(threads=1, delay=3600), Doubling(), Doubling(rows_apart=False)
        model.gate.clear()
        first = asyncio.ensure_future(desk.ask(model, 0))
        await desk.begun(model, 1)

        def wide(length: int) -> Any:
            return desk.batcher.predict(model, ("m", "1"), {"x": np.zeros((1, length))}, lambda _: b"")

        tasks = [asyncio.ensure_future(wide(length)) for length in (2, 3, 2, 3)]
        tasks += [asyncio.ensure_future(desk.ask(meeting, number)) for number in range(3)]
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(first, *tasks)
        assert model.calls == [1, 2, 2]
        assert meeting.calls == [1, 1, 1]

    asyncio.run(story())


def test_who_comes_to_a_full_queue_is_sent_away_at_once() -> None:
    async def story() -> None:
        desk, model = Desk(threads=1, delay=3600, waiting=4, rows=1), Doubling()
        model.gate.clear()
        tasks = [asyncio.ensure_future(desk.ask(model, 0))]
        await desk.begun(model, 1)
        tasks += [asyncio.ensure_future(desk.ask(model, number)) for number in range(1, 5)]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="4 requests wait already") as refused:
            await desk.ask(model, 9)
        assert refused.value.status == 429
        model.gate.set()
        assert await asyncio.gather(*tasks) == [[0], [2], [4], [6], [8]]
        assert desk.batcher.waiting == 0
        assert desk.batcher._groups == {}  # a model that is let go is not held

    asyncio.run(story())


def test_a_client_that_goes_leaves_the_others_their_answers() -> None:
    async def story() -> None:
        desk, model = Desk(threads=1, delay=3600), Doubling()
        model.gate.clear()
        tasks = [asyncio.ensure_future(desk.ask(model, number)) for number in range(3)]
        await desk.begun(model, 1)
        tasks[1].cancel()
        model.gate.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert (found[0], found[2]) == ([0], [4])

    asyncio.run(story())
