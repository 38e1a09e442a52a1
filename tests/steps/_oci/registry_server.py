"""A small registry for tests, in memory, over http or TLS; rules of a test answer first, or change its answers."""

import datetime as dt
import hashlib
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Request:
    method: str
    url: str  # as it was sent: a path with its query
    headers: Any
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.url).query)

    @property
    def login(self) -> str:
        return str(self.headers.get("Authorization", ""))

    @property
    def kind(self) -> str:
        """POST, PATCH, PUT, HEAD, … of a blob or an upload; MANIFEST for a manifest's PUT; PING for ``/v2/``."""
        if self.path == "/v2/":
            return "PING"
        return "MANIFEST" if self.method == "PUT" and "/manifests/" in self.path else self.method


@dataclass(frozen=True)
class Reply:
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str, value: str | None) -> "Reply":
        """Return this with the header replaced, or without it."""
        kept = tuple(pair for pair in self.headers if pair[0] != name)
        return replace(self, headers=kept if value is None else (*kept, (name, value)))


Before = Callable[[Request], Reply | None]
After = Callable[[Request, Reply], Reply]


@dataclass
class Server:
    """What it holds, what it was asked, and the test's rules; an answer of ``before`` is final."""

    url: str = ""
    before: list[Before] = field(default_factory=list)
    after: list[After] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return self.url.partition("://")[2]

    def clear(self) -> None:
        """Forget everything but where it is."""
        for held in (self.before, self.after, self.seen, self.blobs, self.manifests, self.uploads):
            held.clear()

    def take(self, request: Request) -> Reply:
        self.seen.append(request)
        for rule in self.before:
            if answer := rule(request):
                return answer
        answer = self._answer(request)
        for change in self.after:
            answer = change(request, answer)
        return answer

    def _answer(self, request: Request) -> Reply:
        path = request.path
        if path == "/v2/":
            return Reply(200)
        if "/blobs/uploads/" in path:
            return self._upload(request)
        if "/manifests/" in path:
            return self._manifest(request)
        content = self.blobs.get(path.rpartition("/")[2])
        return Reply(404) if content is None else content_reply(request, content)

    def _upload(self, request: Request) -> Reply:
        if request.method == "POST":
            key = f"{request.path}{len(self.seen)}"
            self.uploads[key] = b""
            return Reply(202, (("Location", key),))
        if request.path not in self.uploads:
            return Reply(404)
        if request.method == "DELETE":
            del self.uploads[request.path]
            return Reply(204)
        self.uploads[request.path] += request.body
        if request.method == "PATCH":
            return Reply(202, (("Location", request.path),))
        [digest], content = request.query["digest"], self.uploads.pop(request.path)
        if digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
            return Reply(400)
        self.blobs[digest] = content
        return Reply(201, (("Location", f"/{digest}"), ("Docker-Content-Digest", digest)))

    def _manifest(self, request: Request) -> Reply:
        name = request.path.rpartition("/")[2]
        if request.method == "PUT":
            digest = f"sha256:{hashlib.sha256(request.body).hexdigest()}"
            for key in (name, digest):
                self.manifests[key] = request.headers["Content-Type"], request.body
            return Reply(201, (("Docker-Content-Digest", digest),))
        if name not in self.manifests:
            return Reply(404)
        kind, content = self.manifests[name]
        return Reply(200, (("Content-Type", kind),), content)


def content_reply(request: Request, content: bytes) -> Reply:
    """Answer with bytes, or with the first of them where the request has a Range."""
    if "Range" not in request.headers:
        return Reply(200, (), content)
    if not content:
        return Reply(416, (("Content-Range", "bytes */0"),))
    return Reply(206, (("Content-Range", f"bytes 0-0/{len(content)}"),), content[:1])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body of an answer are two writes
    registry: Server

    def do_any(self) -> None:
        answer = self.registry.take(Request(self.command, self.path, self.headers, self._body()))
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status not in {204, 304}:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815 - http.server names them

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def log_message(self, *_: object) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    """Says nothing of clients that leave."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def served(handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on a port of 127.0.0.1 and yield it."""
    server = Quiet(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run a registry of its own."""
    registry = Server()
    with served(type("Registry", (Handler,), {"registry": registry}), tls) as port:
        registry.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield registry


def tls_context(directory: Path, names: Sequence[str] = ("127.0.0.1",)) -> tuple[ssl.SSLContext, Path]:
    """Return what a server with these addresses and names needs for TLS, and the file of the authority to trust.

    Neither certificate has key identifiers, as with many private authorities. ``directory`` gets key.pem and
    certificate.pem of the server, too.
    """
    now, keys = dt.datetime.now(dt.UTC), [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    subjects = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("authority", "registry")]
    alternatives: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
    ]
    paths = directory / "authority.pem", directory / "certificate.pem"
    for path, key, subject in zip(paths, keys, subjects, strict=True):
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subjects[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=path == paths[0], path_length=None), critical=True)
            .sign(keys[0], hashes.SHA256())
        )
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (directory / "key.pem").write_bytes(keys[1].private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths[1], directory / "key.pem")
    return context, paths[0]
