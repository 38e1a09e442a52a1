"""The embedded server in a process of its own: both protocols, bad input, another configuration while it serves."""

import functools
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from tests.steps.server_log import until

from colchis_steps import serve

pytestmark = pytest.mark.tensorflow
get = functools.partial(httpx.get, timeout=60)
post = functools.partial(httpx.post, timeout=60)
request = functools.partial(httpx.request, timeout=60)
BLANK = [[0] * 8] * 8
START = Callable[..., "Server"]


class Server(NamedTuple):
    process: "subprocess.Popen[bytes]"
    url: str
    log: Path

    def until(self, text: str, seconds: float = 150) -> None:
        """Wait until the log holds the text."""
        until(self.process, self.log, text, seconds)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[START]:
    started: list[Server] = []

    def begin(*flags: str) -> Server:
        log = tmp_path_factory.mktemp("server") / "log"
        command = [sys.executable, "-m", "colchis_steps.serve", "--port=0", *flags]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stderr=out)
        server = Server(process, "", log)
        started.append(server)
        server.until("INFO serving")
        found = re.search(r"http://\S+", log.read_text())
        assert found
        return server._replace(url=found.group())

    yield begin
    for server in started:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="module")
def server(start: START, exported: Path) -> str:
    models = [f"--model={name}={exported / name}" for name in ("tiny", "two", "bare")]
    found = start(*models, "--max-body-mib=1")
    found.until("tiny: version 3 answers")
    found.until("two: version 1 answers")
    found.until("bare version 1 is not served")
    return found.url


def test_v1_answers_rows_and_columns(server: str) -> None:
    path = f"{server}/v1/models/tiny"
    rows = post(f"{path}:predict", json={"instances": [BLANK, {"image": BLANK}]}).json()["predictions"]
    assert [row["class"] for row in rows] == [3, 3]
    assert rows[0]["probability"][3] == pytest.approx(0.91)
    columns = post(f"{path}/versions/1:predict", json={"inputs": [BLANK]}).json()["outputs"]
    assert (columns["class"], len(columns["probability"][0])) == ([1], 10)
    both = {"instances": [{"scale": 2, "text": "abc"}, {"scale": 0.5, "text": {"b64": "AAE="}}]}
    assert post(f"{server}/v1/models/two:predict", json=both).json() == {"predictions": [6.0, 1.0]}
    named = {"inputs": {"scale": [1.0], "text": ["abcd"]}}
    assert post(f"{server}/v1/models/two:predict", json=named).json() == {"outputs": [4.0]}


def test_v1_tells_status_and_signature(server: str) -> None:
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    told = get(f"{server}/v1/models/tiny").json()
    assert (told.pop("name"), told.pop("ready")) == ("tiny", True)
    assert told == {"model_version_status": [{"version": str(number), **available} for number in (3, 2, 1)]}
    one = get(f"{server}/v1/models/tiny/versions/2").json()
    assert one["model_version_status"] == [{"version": "2", **available}]
    told = get(f"{server}/v1/models/tiny/versions/2/metadata").json()
    assert told["model_spec"] == {"name": "tiny", "signature_name": "", "version": "2"}
    image = told["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["image"]
    assert image["dtype"] == "DT_UINT8"
    assert [length["size"] for length in image["tensor_shape"]["dim"]] == ["-1", "8", "8"]
    broken = get(f"{server}/v1/models/bare").json()["model_version_status"][0]
    assert broken["state"] == "END"
    assert "no signature serving_default" in broken["status"]["error_message"]
    assert post(f"{server}/v1/models/bare:predict", json={"instances": [1]}).status_code == 503
    assert get(f"{server}/v2/health/ready").status_code == 503  # bare cannot answer


def test_v2_answers(server: str) -> None:
    image = {"name": "image", "shape": [1, 8, 8], "datatype": "UINT8", "data": [0] * 64}
    told = post(f"{server}/v2/models/tiny/versions/2/infer", json={"id": "a", "inputs": [image]}).json()
    assert (told["id"], told["model_name"], told["model_version"]) == ("a", "tiny", "2")
    assert told["outputs"][0] == {"name": "class", "shape": [1], "datatype": "INT64", "data": [2]}
    asked = {"inputs": [image], "outputs": [{"name": "probability"}]}
    told = post(f"{server}/v2/models/tiny/infer", json=asked).json()
    assert [output["name"] for output in told["outputs"]] == ["probability"]
    assert get(f"{server}/v2").json()["name"] == "colchis"
    assert get(f"{server}/v2/health/live").json() == {"live": True}
    assert get(f"{server}/v2/models/tiny/ready").json() == {"name": "tiny", "ready": True}
    assert get(f"{server}/v2/models/tiny").json()["inputs"] == [
        {"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8]}
    ]


@pytest.mark.parametrize(
    ("request_line", "body", "status", "sentence"),
    [
        ("POST /v1/models/tiny:predict", b"{", 400, "not JSON"),
        ("POST /v1/models/tiny:predict", b"[" * 200_000, 400, "nested too deeply"),
        ("POST /v1/models/tiny:predict", b'{"instances": [[[300]]]}', 400, "takes n by 8 by 8"),
        ("POST /v2/models/tiny/infer", b'{"inputs": [{"name": "x"}]}', 400, "unknown"),
        ("POST /v1/models/tiny:predict", b" " * (3 << 20), 413, "over 1048576 bytes"),
        ("POST /v1/models/moon:predict", b"{}", 404, "the models are: bare, tiny, two"),
        ("POST /v1/models/tiny/versions/9:predict", b"{}", 404, "the versions are: 1, 2, 3"),
        ("GET /v1/models/tiny/versions/nine", b"", 404, "is not a version"),
        ("GET /v2/models/moon/ready", b"", 404, "no model 'moon'"),
        ("GET /v1/models/tiny:predict", b"", 405, "GET does not go"),
        ("DELETE /v2/models/tiny/infer", b"", 405, "DELETE does not go"),
        ("GET /v1/moons", b"", 404, "nothing at /v1/moons"),
        ("GET /board/moon", b"", 404, "no model 'moon'"),
    ],
)
def test_bad_input_gets_one_sentence(server: str, request_line: str, body: bytes, status: int, sentence: str) -> None:
    method, path = request_line.split()
    told = request(method, f"{server}{path}", content=body)
    assert (told.status_code, list(told.json())) == (status, ["error", "code"])
    assert sentence in told.json()["error"]
    assert get(f"{server}/v2/health/live").status_code == 200


def test_metrics_count_by_model_version_and_code(server: str) -> None:
    post(f"{server}/v1/models/tiny/versions/2:predict", json={"instances": [BLANK]})
    post(f"{server}/v1/models/tiny/versions/2:predict", json={})
    post(f"{server}/v1/models/name-of-an-attacker:predict", json={})
    told = get(f"{server}/metrics").text
    for code in (200, 400):
        assert f'colchis_requests_total{{code="{code}",model="tiny",version="2"}}' in told
    assert 'colchis_request_seconds_bucket{le="0.005",model="tiny",version="2"}' in told
    assert "attacker" not in told


def test_the_overview_lists_what_is_served_without_script(server: str) -> None:
    told = get(server, headers={"Accept": "text/html"})
    assert "/v1/models/two:predict" in told.text
    assert 'href="/board/tiny"' in told.text
    assert 'href="/board/two"' in told.text
    assert "no signature serving_default" in told.text
    assert "<script" not in told.text
    assert "default-src 'none'" in told.headers["content-security-policy"]


def test_a_changed_configuration_is_taken_while_serving_and_sigterm_drains(
    start: START, exported: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"

    def configure(default: int, **versions: str) -> None:
        told = {"default": default, "versions": {number[1:]: path for number, path in versions.items()}}
        (tmp_path / "new").write_text(json.dumps({"models": {"tiny": told}}))
        (tmp_path / "new").replace(config)

    def ask(version: str = "") -> Any:
        return post(f"{found.url}/v1/models/tiny{version}:predict", json={"instances": [BLANK]}).json()

    configure(1, v1=str(exported / "tiny/1"))
    found = start(f"--config={config}", f"--pid-path={tmp_path / 'server.json'}")
    early = get(f"{found.url}/v2/health/ready").status_code, get(f"{found.url}/v2/health/live").status_code
    assert early == (503, 200)  # alive, and not ready before the warm-up
    found.until("version 1 answers")
    assert get(f"{found.url}/v2/health/ready").json() == {"ready": True}
    assert json.loads((tmp_path / "server.json").read_text())["pid"] == found.process.pid
    configure(2, v1=str(exported / "tiny/1"), v2=str(exported / "tiny/2"))
    found.until("version 2 answers")
    assert (ask()["predictions"][0]["class"], ask("/versions/1")["predictions"][0]["class"]) == (2, 1)
    configure(3, v3=str(tmp_path / "absent"))
    found.until("version 3 is not served")
    assert ask()["predictions"][0]["class"] == 2  # the one that answered goes on
    config.write_text("{broken")
    found.until("what is served stays as it is")
    assert ask()["predictions"][0]["class"] == 2
    configure(2, v2=str(exported / "tiny/2"))
    deadline = time.monotonic() + 30
    while "error" not in ask("/versions/1"):
        assert time.monotonic() < deadline

    connection = http.client.HTTPConnection(found.url.removeprefix("http://"), timeout=30)
    body = json.dumps({"instances": [BLANK]}).encode()
    connection.putrequest("POST", "/v1/models/tiny:predict")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:10])
    assert get(f"{found.url}/v2/health/live").status_code == 200
    os.kill(found.process.pid, signal.SIGTERM)
    connection.send(body[10:])
    assert json.load(connection.getresponse())["predictions"][0]["class"] == 2  # a request in flight is answered
    connection.close()
    assert found.process.wait(30) == 0
    assert "stopped serving" in found.log.read_text()


def test_a_small_answer_does_not_wait_for_an_acknowledgement() -> None:
    with serve.listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # else asyncio leaves Nagle's algorithm on: 40 ms a request


def test_what_cannot_be_served_ends_with_a_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def sentence(*flags: str) -> str:
        caplog.clear()
        assert serve.main(flags) == 65
        return caplog.text

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (tmp_path / "saved_model.pb").touch()
        number = taken.getsockname()[1]
        told = sentence(f"--model=m={tmp_path}", f"--port={number}")
    assert f"port {number} on 127.0.0.1 is in use by another program; stop it or set COLCHIS_PORT / --port" in told
    assert "is not a port" in sentence(f"--model=m={tmp_path}", "--port=70000")
    assert "holds no saved_model.pb" in sentence(f"--model=m={tmp_path / 'absent'}")
    assert "is not NAME=DIR" in sentence("--model=m")
    assert "cannot be a model's name" in sentence(f"--model=../m={tmp_path}")
    assert "cannot be read" in sentence(f"--config={tmp_path / 'absent'}")
