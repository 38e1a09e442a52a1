"""Whatever bytes come to the embedded server: a 4xx within a second, one sentence, and it goes on serving."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from colchis_steps._serving.config import Config, ServedModel
from colchis_steps._serving.server.app import app
from colchis_steps._serving.server.batch import Limits
from colchis_steps._serving.server.loaded import Registry
from colchis_steps._serving.server.predictions import Settings
from colchis_steps._tensors.tensor import Arrays, Tensor
from colchis_steps.serve import listen

ROW = [[0, 0], [0, 0]]
PATHS = st.sampled_from(
    ["/v1/models/m:predict", "/v2/models/m/infer", "/v1/models/m/versions/1:predict", "/v1/models/m"]
)


class Summing:
    """A model of numpy: the sum of each picture; it waits while its gate is shut."""

    inputs, outputs = {"x": Tensor("x", "uint8", (None, 2, 2))}, {"y": Tensor("y", "int64", (None,))}
    rows_apart, steady = True, False
    classes, signature_def = (), dict[str, Any]()

    def __init__(self, _: Path, __: object = ()) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.computes = threading.Event()

    def warm_up(self, _: object = ()) -> None:
        """Nothing is to be made warm."""

    def predict(self, arrays: Arrays) -> Arrays:
        self.computes.set()
        assert self.gate.wait(30)
        return {"y": arrays["x"].sum(axis=(1, 2), dtype=np.int64)}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, Summing]]:
    """The application behind uvicorn in this process: its URL and its model."""
    import uvicorn

    registry = Registry(load=cast(Any, Summing))
    registry.apply(Config({"m": ServedModel({1: "/nowhere"})}), "x")

    async def watch() -> None:
        await asyncio.Event().wait()

    limits = Settings(threads=1, body=1 << 16, rows=100, batch=Limits(waiting=2))
    server = uvicorn.Server(uvicorn.Config(app(registry, watch, limits), log_level="error"))
    opened = listen("127.0.0.1", 0)
    thread = threading.Thread(target=lambda: server.run(sockets=[opened]))
    thread.start()
    yield f"http://127.0.0.1:{opened.getsockname()[1]}", cast(Summing, registry.find("m").saved)
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def client(served: tuple[str, Summing]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served[0], timeout=60) as client:
        yield client


def refused(client: httpx.Client, body: bytes, path: str = "/v1/models/m:predict", **headers: str) -> tuple[int, str]:
    began = time.process_time()  # of client and server: the machine's other work does not count
    answer = client.post(path, content=body, headers=headers)
    assert time.process_time() - began < 1
    told = answer.json()
    assert list(told) == ["error", "code"]
    assert client.post("/v1/models/m:predict", json={"instances": [ROW]}).json() == {"predictions": [0]}
    return answer.status_code, told["code"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{",
        b"\xff\xfe",
        b'{"instances": NaN}',
        b'{"instances": [[[0, Infinity], [0, 0]]]}',
        b'{"instances": [[[0, 1e400], [0, 0]]]}',
        b'{"instances": [[[0, 256], [0, 0]]]}',
        b'{"instances": [[0, 0], [0, 0]]}',
        b'{"instances": ' + b"[" * 30_000,
        b'{"instances": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"instances": [' + b"9" * 60_000 + b"]}",
        json.dumps({"instances": [{"x": ROW, "y": ROW}]}).encode(),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_malformed_bodies_are_invalid(client: httpx.Client, body: bytes) -> None:
    for path in ("/v1/models/m:predict", "/v2/models/m/infer"):
        assert refused(client, body, path) == (400, "INVALID_ARGUMENT")


def test_what_is_too_much_is_told(client: httpx.Client) -> None:
    assert refused(client, b" " * (1 << 17)) == (413, "OUT_OF_RANGE")
    assert refused(client, json.dumps({"instances": [ROW] * 101}).encode()) == (413, "OUT_OF_RANGE")
    assert client.post("/v1/models/m:predict", json={"instances": [ROW] * 100}).status_code == 200
    assert refused(client, b"{}", "/v1/models/moon:predict") == (404, "NOT_FOUND")
    assert refused(client, b"{}", f"/v1/models/m/versions/{'9' * 5000}:predict") == (404, "NOT_FOUND")
    assert refused(client, b"{}", "/v1/models/m/versions/-1:predict") == (404, "NOT_FOUND")


def test_who_finds_the_queue_full_is_told_when_to_come_back(served: tuple[str, Summing], client: httpx.Client) -> None:
    url, model = served
    model.gate.clear()
    model.computes.clear()
    body = json.dumps({"instances": [ROW]})

    async def story() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as many:
            asked = [asyncio.ensure_future(many.post("/v1/models/m:predict", content=body))]
            assert await asyncio.to_thread(model.computes.wait, 30)
            asked += [asyncio.ensure_future(many.post("/v1/models/m:predict", content=body)) for _ in range(7)]
            told: set[asyncio.Future[httpx.Response]] = set()
            async with asyncio.timeout(30):
                while len(told) < 5:  # one is computed, two wait
                    told, _ = await asyncio.wait(asked, timeout=0.05)
            assert (await many.get("/v2/health/live")).status_code == 200
            model.gate.set()
            return list(await asyncio.gather(*asked))

    try:
        answers = asyncio.run(story())
    finally:
        model.gate.set()
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 5
    for answer in answers:
        if answer.status_code == 429:
            assert answer.json()["code"] == "RESOURCE_EXHAUSTED"
            assert answer.headers["retry-after"] == "1"
    told = client.get("/metrics").text
    assert 'colchis_requests_total{code="429",model="m",version="1"} 5.0' in told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["x", "b64", "name", "data"]), inner),
    max_leaves=12,
)
KEYS = st.sampled_from(["instances", "inputs", "outputs", "id"])
BODIES = st.binary(max_size=200) | st.builds(
    lambda key, value: json.dumps({key: value}).encode(),
    st.sampled_from(["instances", "inputs", "outputs", "id"]),
    JSON,
)
HEADERS = st.dictionaries(
    st.sampled_from(["colchis-version", "style", "content-type", "accept-encoding", "x-request-id", "expect", "host"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
    max_size=3,
)


@given(path=PATHS, body=BODIES, headers=HEADERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_and_any_header_get_an_answer(
    client: httpx.Client, path: str, body: bytes, headers: dict[str, str]
) -> None:
    answer = client.post(path, content=body, headers=headers)
    assert answer.status_code in {200, 400, 404, 405, 413}, answer.text
    assert answer.status_code == 200 or list(answer.json()) == ["error", "code"]


@given(head=st.binary(min_size=1, max_size=120))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_are_no_http_do_not_stop_it(served: tuple[str, Summing], client: httpx.Client, head: bytes) -> None:
    import socket

    host, port = served[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(head + b"\r\n\r\n")
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass
    assert client.get("/v2/health/live").status_code == 200


STOPPED = {  # requests that stopped the server for seconds, took gigabytes, or counted as its own fault
    "shape": (
        "/v2/models/m/infer",
        b'{"inputs": [{"name": "x", "datatype": "UINT8", "data": [0], "shape": [%s]}]}'
        % b",".join([b"9" * 18] * 3_000),
    ),
    "text": ("/v1/models/m:predict", json.dumps({"instances": ["a" * 12_000, *[""] * 12_000]}).encode()),
    "outputs": (
        "/v2/models/m/infer",
        json.dumps(
            {
                "inputs": [{"name": "x", "datatype": "UINT8", "shape": [1, 2, 2], "data": [0] * 4}],
                "outputs": [{"name": "y"}] * 2000,
            }
        ).encode(),
    ),
    "scalars": ("/v1/models/m:predict", b'{"instances": [' + b"0," * 30_000 + b"0]}"),
    "signature": ("/v1/models/m:predict", b'{"signature_name": []}'),
    "label": ("/v1/models/m/labels/moon:predict", b"{}"),
    "header": ("/v2/models/m/infer", b"{}"),
}


@pytest.mark.parametrize("name", STOPPED)
def test_what_stopped_the_server_is_a_clients_error_and_counts_as_none_of_ours(client: httpx.Client, name: str) -> None:
    path, body = STOPPED[name]
    headers = {"Inference-Header-Content-Length": "9" * 18} if name == "header" else {}
    status, _ = refused(client, body, path, **headers)
    assert status == (404 if name == "label" else 400)
    assert 'code="500"' not in client.get("/metrics").text
