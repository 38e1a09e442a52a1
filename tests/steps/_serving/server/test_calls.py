"""Clients over gRPC that are slow, many, or ask for more than there is room for."""

import asyncio
import contextlib
import re
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from grpc import aio
from tests.steps._serving.server.few_files import few_files
from tests.steps._serving.server.rpc_site import INFERENCE, Adds, code, infer, live, story

from colchis_steps._serving.server.batch import Limits
from colchis_steps._serving.server.rpc import calls
from colchis_steps._serving.server.rpc import inference_pb2 as v2
from colchis_steps._tensors.tensor import Arrays

INFER = f"{INFERENCE}/ModelInfer"
OWN = (("grpc.use_local_subchannel_pool", 1),)  # a connection of its own
SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # what a client of HTTP/2 says first


async def end_of(call: Any) -> tuple[str, str]:
    """Return the code and the sentence with which a call ends."""
    return (await call.code()).name, await call.details()


def test_a_call_whose_message_is_late_or_absent_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "BODY_SECONDS", 0.2)

    async def tell(ask: Any, channel: aio.Channel, client: httpx.AsyncClient) -> None:
        stream: Any = channel.stream_unary(INFER)
        late, absent = stream(timeout=60), stream(timeout=60)
        await absent.done_writing()
        assert await end_of(absent) == ("INVALID_ARGUMENT", "the call has no message; send one")
        assert await end_of(late) == ("DEADLINE_EXCEEDED", "the message did not arrive in 0 s; send it with the call")
        assert await code(ask(INFER, infer([[1, 2]]), v2.ModelInferResponse)) == "OK"
        assert 'code="500"' not in (await client.get("/metrics")).text

    story(tell)


def test_calls_that_wait_for_their_client_do_not_keep_others_out() -> None:
    async def tell(ask: Any, channel: aio.Channel, _: httpx.AsyncClient) -> None:
        stream: Any = channel.stream_unary(INFER)
        silent = [stream(timeout=60) for _ in range(20)]
        ends = [asyncio.ensure_future(end_of(call)) for call in silent]
        for number, end in enumerate(asyncio.as_completed(ends)):
            told = await end
            assert told == ("RESOURCE_EXHAUSTED", "too many calls wait for their message; send it with the call")
            if number == 15:
                break  # half of the eight that may be at work wait on
        assert await code(ask(INFER, infer([[1, 2]]), v2.ModelInferResponse)) == "OK"
        waiting = next(call for call, end in zip(silent, ends, strict=True) if not end.done())
        await waiting.write(infer([[1, 2]]).SerializeToString())
        await waiting.done_writing()
        assert (await waiting.code()).name == "OK"
        for call in silent:
            call.cancel()
        await asyncio.gather(*ends)

    story(tell, batch=Limits(waiting=4))


def test_more_calls_than_there_is_room_for_are_refused() -> None:
    go = threading.Event()

    class Slow(Adds):
        def predict(self, arrays: Arrays) -> Arrays:
            assert go.wait(60)
            return super().predict(arrays)

    async def tell(ask: Any, *_: Any) -> list[str]:
        rows = infer([[1, 2]] * 40)
        asked = [asyncio.ensure_future(code(ask(INFER, rows, v2.ModelInferResponse))) for _ in range(20)]
        for one in asyncio.as_completed(asked):
            await one
            if sum(each.done() for each in asked) == 16:  # two compute, two wait
                go.set()
        return sorted(one.result() for one in asked)

    assert story(tell, load=Slow, batch=Limits(waiting=2)) == ["OK"] * 4 + ["RESOURCE_EXHAUSTED"] * 16


def test_many_connections_share_batches() -> None:
    ports: list[int] = []

    async def tell(_: Any, __: Any, client: httpx.AsyncClient) -> None:
        content = infer([[1, 2]]).SerializeToString()
        async with contextlib.AsyncExitStack() as stack:
            opened = [aio.insecure_channel(f"127.0.0.1:{ports[0]}", options=OWN) for _ in range(32)]
            for each in opened:
                await stack.enter_async_context(each)
            for _ in range(10):
                asked: list[Any] = [each.unary_unary(INFER)(content, timeout=60) for each in opened]
                answers = await asyncio.gather(*asked)
                assert all(v2.ModelInferResponse.FromString(answer).model_name == "m" for answer in answers)
        text = (await client.get("/metrics")).text
        rows, batches = (float(re.findall(rf"batch_rows_{of}{{.*}} (.+)", text)[0]) for of in ("sum", "count"))
        assert rows == 320
        assert batches < rows

    story(tell, ports=ports)


@pytest.mark.servers
def test_eleven_hundred_idle_connections_at_1024_files_leave_health_answering(tmp_path: Path) -> None:
    with few_files(tmp_path) as (http, grpc):
        with contextlib.ExitStack() as stack:
            for number in range(1100):
                raw = stack.enter_context(socket.create_connection(grpc, timeout=20))
                with contextlib.suppress(ConnectionError):  # one too many is closed
                    raw.sendall(SETTINGS)
                if number % 100 == 99:
                    assert httpx.get("http://{}:{}/v2/health/live".format(*http), timeout=20).status_code == 200
        assert asyncio.run(live("{}:{}".format(*grpc))), "there is room again"
