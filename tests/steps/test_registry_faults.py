"""A registry that misbehaves: a proxy before the real one drops connections, answers 5xx and redirects."""

import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from colchis_steps._oci import contents, open_repository
from colchis_steps._pack import pack
from colchis_steps._sources import StoreSource
from colchis_steps._step import InputError, StepError, TransientError

Fault = tuple[str, str]  # method, what happens: a status, or "drop" after the first bytes of the body


class Proxy(BaseHTTPRequestHandler):
    """Passes requests on, but for those that meet a fault; a fault is used up."""

    protocol_version = "HTTP/1.1"
    upstream: str
    faults: list[Fault]
    seen: list[str]

    def do_any(self) -> None:
        self.seen.append(self.command)
        for fault in self.faults:
            if fault[0] == self.command:
                self.faults.remove(fault)
                self.misbehave(fault[1])
                return
        connection = http.client.HTTPConnection(self.upstream, timeout=20)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        connection.request(self.command, self.path, self.body(), headers)
        reply = connection.getresponse()
        body = reply.read()
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in {"transfer-encoding", "date"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        connection.close()

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def misbehave(self, what: str) -> None:
        self.close_connection = True
        if what == "drop":
            self.rfile.read(min(1000, int(self.headers.get("Content-Length") or 0)))
            self.connection.close()
            return
        self.body()
        self.send_response(int(what))
        body = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}'
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815 - http.server names them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        pass


class Quiet(ThreadingHTTPServer):
    """Says nothing of connections that it was told to drop."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@pytest.fixture
def faulty(docker_registry: Callable[..., str]) -> Iterator[Any]:
    """Start a registry behind a proxy; give the proxy's handler class, with ``address``, ``faults`` and ``seen``."""
    handler = type("Handler", (Proxy,), {"upstream": docker_registry(), "faults": [], "seen": []})
    server = Quiet(("127.0.0.1", 0), handler)
    handler.address = f"127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-login"))
    monkeypatch.setattr("colchis_steps._registry.WAITS", (0.01, 0.01, 0.01))


def push(published: Any, address: str) -> Any:
    files = published.publish(published.files).files
    return pack(StoreSource(published.store, files), open_repository(f"{address}/digits"), "1", known={})


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("POST", "429"),
        ("PATCH", "500"),
        *((m, w) for m in ("POST", "PATCH", "PUT", "HEAD", "GET") for w in ("drop", "503")),
    ],
)
def test_what_passes_is_tried_again_and_the_image_is_whole(published: Any, faulty: Any, method: str, what: str) -> None:
    faulty.faults += [(method, what)] * 2
    report = push(published, faulty.address)
    assert faulty.faults == []
    assert [file.path for file in contents(report.image)] == sorted(published.files)


@pytest.mark.parametrize(("what", "said"), [("503", "answers 503 to PATCH.*slow down"), ("drop", "is away")])
def test_what_does_not_pass_is_transient(published: Any, faulty: Any, what: str, said: str) -> None:
    faulty.faults += [("PATCH", what)] * 100
    with pytest.raises(TransientError, match=f"registry {faulty.address} {said}.*run the step again"):
        push(published, faulty.address)
    faulty.faults.clear()
    assert open_repository(f"{faulty.address}/digits").tagged("1") is None


@pytest.mark.parametrize("what", ["401", "403"])
def test_a_refusal_is_input_and_is_not_tried_again(published: Any, faulty: Any, what: str) -> None:
    faulty.faults += [("PATCH", what)] * 100
    with pytest.raises(InputError, match=f"registry {faulty.address} .*docker login"):
        push(published, faulty.address)
    assert faulty.seen.count("PATCH") <= len(published.files)


def test_an_answer_that_is_no_part_of_the_api_is_told(published: Any, faulty: Any) -> None:
    faulty.faults += [("POST", "413")] * 100
    with pytest.raises(InputError, match=r"answers 413 to POST for .*/digits: TOOMANYREQUESTS slow down"):
        push(published, faulty.address)


def test_a_cut_answer_to_a_read_is_transient_and_nothing_appears(published: Any, faulty: Any) -> None:
    report = push(published, faulty.address)
    faulty.faults += [("GET", "drop")] * 100
    with pytest.raises(StepError, match="is away") as caught:
        contents(report.image)
    assert caught.value.exit_code == 75
