"""The embedded server under load: versions swapped, traffic split, requests logged, SIGTERM: no request is lost."""

import contextlib
import functools
import http.client
import json
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import pytest
from tests.steps.server_log import until

from colchis_steps._serving.server.rpc import inference_pb2 as v2

pytestmark = pytest.mark.tensorflow
get = functools.partial(httpx.get, timeout=60)
BLANK = [[0] * 8] * 8
BODY = json.dumps({"instances": [BLANK]}).encode()
CLIENTS = 6


class Server(NamedTuple):
    process: "subprocess.Popen[bytes]"
    url: str
    top: Path
    exported: Path

    def until(self, text: str) -> None:
        until(self.process, self.top / "log", text)


def configured(top: Path, exported: Path, default: int, *versions: int, **more: Any) -> None:
    paths = {str(number): str(exported / "tiny" / str(number)) for number in versions}
    (top / "new").write_text(json.dumps({"models": {"tiny": {"default": default, "versions": paths, **more}}}))
    (top / "new").replace(top / "config.json")


@pytest.fixture(scope="module")
def server(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    top = tmp_path_factory.mktemp("load")
    (top / "store").mkdir()
    configured(top, exported, 1, 1)
    command = [sys.executable, "-m", "colchis_steps.serve", "--port=0", f"--config={top / 'config.json'}"]
    command += ["--grpc-port=0", "--log-requests=1", f"--log-to={(top / 'store').as_uri()}"]
    with (top / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    until(process, top / "log", "tiny: version 1 answers")
    found = re.search(r"http://\S+", (top / "log").read_text())
    assert found
    yield Server(process, found.group(), top, exported)
    process.kill()
    process.wait()


class Load:
    """Clients that ask over connections that they keep, until they are told to close or the load is over."""

    def __init__(self, url: str) -> None:
        self.address, self.over = url.removeprefix("http://"), threading.Event()
        self.told: list[tuple[int, int, str]] = []  # status, class, version that says it answered
        self.lost: list[Exception] = []
        self.threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            while not self.over.is_set():
                connection.request("POST", "/v1/models/tiny:predict", BODY)
                answer = connection.getresponse()
                body = json.loads(answer.read())
                found = body["predictions"][0]["class"] if answer.status == 200 else -1
                self.told.append((answer.status, found, answer.headers["Colchis-Version"]))
                if answer.will_close:
                    return  # as a gateway does, it goes elsewhere
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.lost.append(error)
        finally:
            connection.close()

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        self.wait(CLIENTS * 3)
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def wait(self, more: int) -> None:
        """Wait for so many further answers."""
        wanted, deadline = len(self.told) + more, time.monotonic() + 60
        while len(self.told) < wanted and any(thread.is_alive() for thread in self.threads):
            assert time.monotonic() < deadline
            select.select([], [], [], 0.01)


def test_the_old_version_answers_until_the_new_one_is_warm(server: Server) -> None:
    with Load(server.url) as load:
        configured(server.top, server.exported, 2, 2)
        server.until("tiny: version 2 answers")
        load.wait(CLIENTS * 3)
    assert load.lost == []
    assert {(status, str(found) == version) for status, found, version in load.told} == {(200, True)}
    order = [found for _, found, _ in load.told]
    assert order[0] == 1
    assert order[-1] == 2
    assert order.index(2) > CLIENTS * 3 - 1


def test_weights_and_headers_choose_the_version_where_none_is_named(server: Server) -> None:
    header = {"header": "style", "value": "transfer", "version": 3}
    configured(server.top, server.exported, 2, 2, 3, weights={"2": 50, "3": 50}, headers=[header])
    server.until("version 3 is loaded")
    deadline = time.monotonic() + 30
    with httpx.Client(base_url=server.url, timeout=60) as client:

        def ask(path: str = "", **headers: str) -> str:
            answer = client.post(f"/v1/models/tiny{path}:predict", content=BODY, headers=headers)
            assert answer.json()["predictions"][0]["class"] == int(answer.headers["Colchis-Version"])
            return str(answer.headers["Colchis-Version"])

        while ask(style="transfer") != "3":
            assert time.monotonic() < deadline
        shares = Counter(ask() for _ in range(200))
        assert 60 <= shares["3"] <= 140  # 1e-8 beyond these
        assert {ask(style="transfer") for _ in range(20)} == {"3"}
        assert {ask("/versions/2", style="transfer") for _ in range(5)} == {"2"}


def test_requests_share_batches_and_metrics_say_so(server: Server) -> None:
    with Load(server.url) as load:
        load.wait(CLIENTS * 20)
    told = get(f"{server.url}/metrics").text
    sums = {name: number(told, f"colchis_batch_rows_{name}", "2") for name in ("sum", "count")}
    assert sums["sum"] > sums["count"] > 0
    for name in ("colchis_request_seconds", "colchis_wait_seconds", "colchis_batch_seconds"):
        assert number(told, f"{name}_count", "2") > 0
    assert "colchis_waiting_requests 0.0" in told


def number(told: str, name: str, version: str) -> float:
    found = re.search(rf'^{name}{{model="tiny",version="{version}"}} (\S+)$', told, re.MULTILINE)
    assert found, told
    return float(found.group(1))


class Calls:
    """Clients that ask over gRPC, a channel each, until they are refused; ``told``: how each call ended."""

    def __init__(self, address: str) -> None:
        self.address, self.told = address, list[str]()
        self.threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        self.request = v2.ModelInferRequest(model_name="tiny", raw_input_contents=[bytes(64)])
        self.request.inputs.add(name="image", datatype="UINT8", shape=[1, 8, 8])

    def _ask(self) -> None:
        with grpc.insecure_channel(self.address) as channel:
            call: Any = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=v2.ModelInferResponse.FromString,
            )
            said = "answered"
            while said == "answered":
                try:
                    call(self.request, timeout=60)
                except grpc.RpcError as error:
                    failed: Any = error
                    said = f"{failed.code().name}: {failed.details()}"
                self.told.append(said)


def test_sigterm_under_load_loses_nothing_and_writes_the_log(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as secret:
        secret.post("/v1/models/tiny:predict", content=BODY, headers={"Authorization": "Bearer hush"})
    found = re.search(r"serving gRPC on (\S+)", (server.top / "log").read_text())
    assert found
    calls = Calls(found[1])
    with Load(server.url) as load:
        for thread in calls.threads:
            thread.start()
        deadline = time.monotonic() + 60
        while len(calls.told) < CLIENTS * 3:
            assert time.monotonic() < deadline
            select.select([], [], [], 0.01)
        server.process.send_signal(signal.SIGTERM)
        for thread in [*load.threads, *calls.threads]:
            thread.join(60)
    assert load.lost == []
    refused = [said for said in calls.told if said != "answered"]
    told = "UNAVAILABLE: the server is about to end; ask again, and another one answers"  # what clients try elsewhere
    assert refused == [told] * CLIENTS, "a call in flight was lost"
    assert {status for status, _, _ in load.told} == {200}
    assert server.process.wait(30) == 0
    text = (server.top / "log").read_text()
    assert "asked to stop" in text
    assert "stopped serving" in text
    with contextlib.suppress(httpx.ConnectError):
        get(server.url)
        pytest.fail("it still listens")
    objects = list((server.top / "store" / "requests" / "tiny").glob("*/*/*.json"))
    documents = [json.loads(path.read_bytes()) for path in objects]
    assert {document["version"] for document in documents} == {1, 2, 3}
    for document in documents:
        assert document["kind"] == "colchis.dev/request-log/v1"
        for request in document["requests"]:
            assert request["inputs"] == {"image": [BLANK]}
            assert request["outputs"]["class"] == [document["version"]]
    assert not any(b"hush" in path.read_bytes() for path in objects)
