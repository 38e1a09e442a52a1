"""A registry that misbehaves: a proxy before the real one drops connections, answers 5xx and redirects."""

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from colchis_steps._oci.contents import contents
from colchis_steps._oci.image import INDEX, Blob
from colchis_steps._oci.repository import open_repository
from colchis_steps._packing.pack import Known, pack
from colchis_steps._packing.sources import StoreSource
from colchis_steps._step.errors import InputError, StepError, TransientError

Fault = tuple[str, str]  # method, what happens: a status, or "drop" after the first bytes of the body


class Proxy(BaseHTTPRequestHandler):
    """Passes requests on, but for those that meet a fault; a fault is used up."""

    protocol_version = "HTTP/1.1"
    upstream: str
    faults: list[Fault]
    seen: list[str]
    headers_seen: list[dict[str, str]]
    away: str  # an address to which uploads and blobs are redirected
    lie: str  # the digest that every answer gives

    def do_any(self) -> None:
        self.seen.append(self.command)
        self.headers_seen.append({"path": self.path, **self.headers})
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
            if name.lower() == "location" and self.away:
                self.send_header(name, f"http://{self.away}{value[value.index('/v2/') :]}")
            elif name.lower() == "docker-content-digest" and self.lie:
                self.send_header(name, self.lie)
            elif name.lower() not in {"transfer-encoding", "date"}:
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
        status, _, more = what.partition(" ")
        if what == "drop":
            self.rfile.read(min(1000, int(self.headers.get("Content-Length") or 0)))
            self.connection.close()
            return
        self.body()
        self.send_response(int(status))
        if more:
            self.send_header(*more.split(": "))
        body = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}'
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")  # else the next request may go into the connection that closes
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
    with proxy(docker_registry()) as handler:
        yield handler


@contextlib.contextmanager
def proxy(upstream: str) -> Iterator[Any]:
    told = {"upstream": upstream, "faults": [], "seen": [], "headers_seen": [], "away": "", "lie": ""}
    handler = type("Handler", (Proxy,), told)
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
    monkeypatch.setattr("colchis_steps._oci.registry.WAITS", (0.01, 0.01, 0.01))


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


def test_a_registry_that_asks_to_wait_is_given_that_time(
    published: Any, faulty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("colchis_steps._oci.registry.time.sleep", waited.append)
    faulty.faults += [("POST", "429 Retry-After: 7")]
    push(published, faulty.address)
    assert waited == [7]


def test_a_registry_that_asks_for_an_hour_is_left_to_a_later_run(published: Any, faulty: Any) -> None:
    faulty.faults += [("PATCH", "503 Retry-After: 3600")] * 100
    with pytest.raises(TransientError, match="answers 503 to PATCH"):
        push(published, faulty.address)
    assert faulty.seen.count("PATCH") <= len(published.files)


def test_a_full_registry_is_input_with_the_fix(published: Any, faulty: Any) -> None:
    faulty.faults += [("PATCH", "507")] * 100
    with pytest.raises(InputError, match=rf"registry {faulty.address} has no space left for .*/digits.*free some"):
        push(published, faulty.address)
    faulty.faults.clear()
    assert open_repository(f"{faulty.address}/digits").tagged("1") is None


@pytest.mark.parametrize("what", ["blob", "manifest"])
def test_a_registry_that_lies_about_digests_is_named(published: Any, faulty: Any, what: str) -> None:
    repository = open_repository(f"{faulty.address}/digits")
    faulty.lie = f"sha256:{'0' * 64}"
    puts: dict[str, Callable[[], object]] = {
        "blob": lambda: repository.put(lambda: [b"bytes"], 5),
        "manifest": lambda: repository.put_manifest(Blob(INDEX, b'{"schemaVersion": 2, "manifests": []}')),
    }
    with pytest.raises(InputError, match=rf"registry {faulty.address} calls sha256:0000.* what was sent as sha256:"):
        puts[what]()


def test_bytes_that_are_not_what_their_digest_says_are_refused(faulty: Any) -> None:
    repository = open_repository(f"{faulty.address}/digits")
    digest = f"sha256:{'1' * 64}"
    with pytest.raises(InputError, match=r"answers 400 to PUT .*DIGEST_INVALID"):
        repository.put(lambda: [b"bytes"], 5, digest)
    assert not repository.has(digest, 5)


def test_uploads_and_blobs_may_be_elsewhere_and_the_login_stays_here(
    published: Any, faulty: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = {"auths": {faulty.address: {"username": "colchis", "password": "geheim"}}}
    (tmp_path / "config.json").write_text(json.dumps(login))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with proxy(faulty.upstream) as other:
        faulty.away = other.address
        faulty.faults += [("HEAD", '401 WWW-Authenticate: Basic realm="r"')]
        report = push(published, faulty.address)
        assert [file.path for file in contents(report.image)] == sorted(published.files)
        faulty.faults += [("GET", f"307 Location: http://{other.address}/v2/digits/manifests/{report.digest}")]
        assert open_repository(f"{faulty.address}/digits").manifest(report.digest)
        assert {"PATCH", "PUT", "GET"} <= set(other.seen)
        assert "Authorization" in {name for headers in faulty.headers_seen for name in headers}
        assert "Authorization" not in {name for headers in other.headers_seen for name in headers}


def test_a_login_that_lapses_is_renewed_once(
    published: Any, faulty: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = {"auths": {faulty.address: {"username": "colchis", "password": "geheim"}}}
    (tmp_path / "config.json").write_text(json.dumps(login))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    lapsed = ("PATCH", '401 WWW-Authenticate: Basic realm="r"')
    faulty.faults += [lapsed]
    report = push(published, faulty.address)
    assert [file.path for file in contents(report.image)] == sorted(published.files)
    faulty.faults += [lapsed] * 100
    with pytest.raises(InputError, match=r"refuses PATCH \(401.*the credentials in .*docker login"):
        open_repository(f"{faulty.address}/digits").put(lambda: [b"new"], 3)


def test_a_layer_of_a_neighbour_is_mounted_and_not_sent(published: Any, faulty: Any) -> None:
    first = push(published, faulty.address)
    shas = {file.path: file.sha256 for file in published.publish(published.files).files}
    known = {(layer.path, shas[layer.path]): Known(layer, f"{faulty.address}/digits") for layer in first.layers}
    faulty.seen.clear()
    files = published.publish(published.files).files
    other = open_repository(f"{faulty.address}/other")
    report = pack(StoreSource(published.store, files), other, "1", known=known)
    assert report.digest == first.digest
    assert "PATCH" not in faulty.seen
    assert [file.path for file in contents(report.image)] == sorted(published.files)


def test_what_the_neighbour_lost_is_sent(faulty: Any) -> None:
    repository = open_repository(f"{faulty.address}/digits")
    assert not repository.mount(f"sha256:{'2' * 64}", 5, f"{faulty.address}/other")
    assert faulty.seen == ["GET", "POST", "DELETE"]  # what login it wants; the upload that it opened instead is closed
    assert not repository.mount(f"sha256:{'2' * 64}", 5, "elsewhere:1/other")
    assert len(faulty.seen) == 3


def test_a_tag_that_names_this_image_is_not_written_again(published: Any, faulty: Any) -> None:
    first = push(published, faulty.address)
    faulty.faults += [("PUT", "409")] * 100  # as a registry answers that keeps its tags for good
    assert push_again(published, faulty.address, first).digest == first.digest


def push_again(published: Any, address: str, first: Any) -> Any:
    files = published.publish(published.files).files
    shas = {file.path: file.sha256 for file in files}
    known = {(layer.path, shas[layer.path]): Known(layer, f"{address}/digits") for layer in first.layers}
    return pack(StoreSource(published.store, files), open_repository(f"{address}/digits"), "1", known=known)
