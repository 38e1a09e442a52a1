"""A bucket's server in memory, for what real ones cannot be made to do: it keeps objects, checks signatures, and a test
scripts what else it answers. Beside it a proxy that leads every name to it, and certificates for both.
"""

import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import http.client
import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from awscrt.checksums import crc64nvme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

BUCKET = "bucket"
KEYS = {"test-key": "test-secret"}


class Asked(NamedTuple):
    """A request: ``headers`` have names in lower case, ``query`` is decoded, ``key`` is without the bucket."""

    method: str
    host: str
    path: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


@dataclass
class Kept:
    body: bytes
    headers: dict[str, str]
    modified: float = field(default_factory=lambda: dt.datetime.now(dt.UTC).timestamp())

    @property
    def tag(self) -> str:
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


def refusal(status: int, code: str, more: str = "", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, f"<Error><Code>{code}</Code><Message>a fault</Message>{more}</Error>".encode(), named)


class S3Server:
    """Objects of one bucket. ``before`` may answer in its place, ``after`` may change what it answers."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, base: str = "", idle: float | None = None) -> None:
        self.objects, self.uploads = dict[str, Kept](), dict[str, tuple[str, dict[int, Kept]]]()
        self.asked = list[Asked]()
        self.secrets = dict(KEYS)
        self.before: Callable[[Asked], Answer | None] = lambda _: None
        self.after: Callable[[Asked, Answer], Answer] = lambda _, answer: answer
        self.cut: Callable[[str, str], bool] = lambda _method, _path: False  # whether to break off amid the body
        self.open, self.base, self.skew = 0, base, 0.0  # connections; what comes before each path; seconds of its clock
        self.unframes = True  # whether it knows aws-chunked
        self._number, self._lock = itertools.count(1), threading.Lock()
        self._http = _Listener(self, tls, idle)
        self.port = self._http.server_port
        host = "localhost" if tls else "127.0.0.1"
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}{base}"

    def close(self) -> None:
        self._http.end()

    def answer(self, it: Asked) -> Answer:
        with self._lock:
            self.asked.append(it)
            if self.unframes and it.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
                it = it._replace(body=unframed(it.body))
            if found := self.before(it) or self._refused(it):
                return self.after(it, found)
            return self.after(it, getattr(self, f"_{it.method.lower()}")(it))

    def _refused(self, it: Asked) -> Answer | None:
        if not it.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
            return refusal(403, "AccessDenied")
        told = it.headers["x-amz-content-sha256"]
        if len(told) == 64 and told != hashlib.sha256(it.body).hexdigest():
            return refusal(400, "XAmzContentSHA256Mismatch")
        found = dict(part.split("=", 1) for part in it.headers["authorization"][17:].split(", "))
        secret = self.secrets.get(found["Credential"].split("/")[0])
        if secret is None:
            return refusal(403, "InvalidAccessKeyId")
        return None if signature(it, found, secret) == found["Signature"] else refusal(403, "SignatureDoesNotMatch")

    def _get(self, it: Asked) -> Answer:
        if "uploads" in it.query:
            return self._listed_uploads(it)
        if "uploadId" in it.query:
            parts = self.uploads[it.query["uploadId"]][1]
            return _xml(
                "ListPartsResult",
                "".join(f"<Part><PartNumber>{n}</PartNumber>{_told(p)}</Part>" for n, p in sorted(parts.items())),
            )
        if not it.key:
            found = sorted(key for key in self.objects if key.startswith(it.query.get("prefix", "")))
            return _xml(
                "ListBucketResult",
                "".join(f"<Contents><Key>{escape(k)}</Key>{_told(self.objects[k])}</Contents>" for k in found),
            )
        if (kept := self.objects.get(it.key)) is None:
            return refusal(404, "NoSuchKey")
        if (part := it.headers.get("range", "")) and it.method == "GET":
            start, _, end = part.removeprefix("bytes=").partition("-")
            some = kept.body[int(start) : int(end) + 1 if end else None]
            until = int(start) + len(some) - 1
            return Answer(206, some, {"ETag": kept.tag, "Content-Range": f"bytes {start}-{until}/{len(kept.body)}"})
        return Answer(200, kept.body, _headers(kept) | kept.headers)

    _head = _get

    def _listed_uploads(self, it: Asked) -> Answer:
        mine = [(u, key) for u, (key, _) in self.uploads.items() if key.startswith(it.query.get("prefix", ""))]
        text = "".join(
            f"<Upload><Key>{escape(key)}</Key><UploadId>{u}</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>"
            for u, key in mine
        )
        return _xml("ListMultipartUploadsResult", text)

    def _put(self, it: Asked) -> Answer:
        there = self.objects.get(it.key)
        if it.headers.get("if-none-match") == "*" and there:
            return refusal(412, "PreconditionFailed")
        if (tag := it.headers.get("if-match")) and (not there or there.tag != tag):
            return refusal(412 if there else 404, "PreconditionFailed" if there else "NoSuchKey")
        if source := it.headers.get("x-amz-copy-source"):
            if (origin := self.objects.get(unquote(source).partition("/")[2])) is None:
                return refusal(404, "NoSuchKey")
            self.objects[it.key] = Kept(origin.body, origin.headers)
            return _xml("CopyObjectResult", f"<ETag>{escape(origin.tag)}</ETag>")
        named = {name: value for name, value in it.headers.items() if name == "x-amz-checksum-crc64nvme"}
        if named and named["x-amz-checksum-crc64nvme"] != checksum(it.body):
            return refusal(400, "BadDigest")
        kept = Kept(it.body, named)
        if "partNumber" in it.query:
            self.uploads[it.query["uploadId"]][1][int(it.query["partNumber"])] = kept
        else:
            self.objects[it.key] = kept
        return Answer(200, b"", {"ETag": kept.tag, **named})

    def _post(self, it: Asked) -> Answer:
        if "uploads" in it.query:
            self.uploads[upload := f"upload-{next(self._number)}"] = (it.key, {})
            return _xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")
        if it.headers.get("if-none-match") == "*" and it.key in self.objects:
            return refusal(412, "PreconditionFailed")
        _, parts = self.uploads.pop(it.query["uploadId"])
        kept = Kept(b"".join(part.body for _, part in sorted(parts.items())), {})
        kept.headers["x-amz-checksum-crc64nvme"] = checksum(kept.body)
        self.objects[it.key] = kept
        return _xml("CompleteMultipartUploadResult", f"<ETag>{escape(kept.tag)}</ETag>")

    def _delete(self, it: Asked) -> Answer:
        if "uploadId" in it.query:
            self.uploads.pop(it.query["uploadId"], None)
        else:
            self.objects.pop(it.key, None)
        return Answer(204)


def unframed(body: bytes) -> bytes:
    """Take the bytes out of aws-chunked framing, without what trails."""
    content = b""
    while True:
        head, _, body = body.partition(b"\r\n")
        size = int(head.split(b";")[0], 16)
        if not size:
            return content
        content, body = content + body[:size], body[size + 2 :]


def checksum(body: bytes) -> str:
    return base64.b64encode(crc64nvme(body).to_bytes(8, "big")).decode()


def signature(it: Asked, told: Mapping[str, str], secret: str) -> str:
    """Sign as "Authenticating Requests (Authorization Header)" of the S3 API reference says."""
    query = "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in sorted(it.query.items()))
    names = told["SignedHeaders"].split(";")
    lines = "".join(f"{name}:{' '.join(it.headers.get(name, '').split())}\n" for name in names)
    asked = f"{it.method}\n{it.path}\n{query}\n{lines}\n{told['SignedHeaders']}\n{it.headers['x-amz-content-sha256']}"
    scope = told["Credential"].split("/")[1:]
    text = (
        f"AWS4-HMAC-SHA256\n{it.headers['x-amz-date']}\n{'/'.join(scope)}\n{hashlib.sha256(asked.encode()).hexdigest()}"
    )
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _xml(name: str, content: str) -> Answer:
    return Answer(200, f"<{name}>{content}<IsTruncated>false</IsTruncated></{name}>".encode())


def _told(kept: Kept) -> str:
    when = dt.datetime.fromtimestamp(kept.modified, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"<LastModified>{when}</LastModified><ETag>{escape(kept.tag)}</ETag><Size>{len(kept.body)}</Size>"


def _headers(kept: Kept) -> dict[str, str]:
    return {"ETag": kept.tag, "Last-Modified": formatdate(kept.modified, usegmt=True)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Listener"

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.idle)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def do(self) -> None:
        to, parts = self.server.to, urlsplit(self.path)
        if to.cut(self.command, self.path):
            self.rfile.read(1 << 16)
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
            self.connection.close()
            return
        host, path = self.headers["Host"], parts.path.removeprefix(to.base)
        key = unquote(path).removeprefix("/")
        if not host.startswith(f"{BUCKET}."):
            key = key.removeprefix(BUCKET).removeprefix("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        answer = to.answer(Asked(self.command, host, parts.path, key, query, headers, self._body(headers)))
        self.send_response(answer.status)
        told = {"Content-Length": str(len(answer.body)), **answer.headers}
        for name, value in told.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815 - http.server's names

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(dt.datetime.now(dt.UTC).timestamp() + self.server.to.skew, usegmt=True)

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", "0")))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Listener(ThreadingHTTPServer):
    def __init__(self, to: Any, tls: ssl.SSLContext | None, idle: float | None, handler: Any = _Handler) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.to, self.idle, self._tls, self._counting = to, idle, tls, threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def get_request(self) -> tuple[socket.socket, Any]:
        near, address = super().get_request()
        if self._tls:  # the handshake comes with the first read, in the thread of the request
            near = self._tls.wrap_socket(near, server_side=True, do_handshake_on_connect=False)
        with self._counting:
            self.to.open += 1
        return near, address

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._counting:
            self.to.open -= 1

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up."""

    def end(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class Proxy:
    """Leads every name to one server; ``login`` is what it demands, ``ports`` those to which it opens tunnels."""

    def __init__(
        self, to: S3Server, *, login: str = "", ports: tuple[int, ...] = (443,), tls: ssl.SSLContext | None = None
    ) -> None:
        self.to, self.login, self.ports, self.asked, self.open = to, login, ports, list[str](), 0
        self._http = _Listener(self, tls, None, _Passing)
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        who = f"{':'.join(quote(part, safe='') for part in login.split(':', 1))}@" if login else ""
        self.url = f"{scheme}://{who}{host}:{self._http.server_port}"

    def close(self) -> None:
        self._http.end()


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def _refused(self) -> bool:
        proxy: Proxy = self.server.to
        proxy.asked.append(f"{self.command} {self.path}")
        login = base64.b64encode(proxy.login.encode()).decode()
        if proxy.login and self.headers.get("Proxy-Authorization") != f"Basic {login}":
            self.send_error(407)
        elif self.command == "CONNECT" and int(self.path.rpartition(":")[2]) not in proxy.ports:
            self.send_error(403)
        else:
            return False
        self.close_connection = True
        return True

    def do_CONNECT(self) -> None:
        if self._refused():
            return
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        with socket.create_connection(("127.0.0.1", self.server.to.to.port)) as far:
            back = threading.Thread(target=_pump, args=(far, self.connection))
            back.start()
            _pump(self.connection, far)
            back.join()

    def do(self) -> None:
        if self._refused():
            return
        far = http.client.HTTPConnection("127.0.0.1", self.server.to.to.port)
        with contextlib.closing(far):
            parts, body = urlsplit(self.path), self.rfile.read(int(self.headers.get("Content-Length", "0")))
            far.request(self.command, parts._replace(scheme="", netloc="").geturl(), body, dict(self.headers))
            answer = far.getresponse()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.read())

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 16):
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def authority(directory: Path, names: tuple[str, ...], *, identified: bool = True) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate authority and a certificate for these names; ``identified`` adds the key identifiers that
    Python 3.13's strict flag demands. Return what a server needs, and the authority's file.
    """
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer, now = _name("tests"), dt.datetime.now(dt.UTC)

    def built(subject: x509.Name, public: Any, more: list[tuple[x509.ExtensionType, bool]]) -> x509.Certificate:
        made = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
        made = made.not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(1))
        if identified:
            more = [*more, (x509.SubjectKeyIdentifier.from_public_key(public), False)]
            more = [*more, (x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), False)]
        for extension, critical in more:
            made = made.add_extension(extension, critical)
        return made.sign(root, hashes.SHA256())

    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    own = built(issuer, root.public_key(), [(x509.BasicConstraints(ca=True, path_length=None), True), (usage, True)])
    alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    mine = built(_name(names[0]), key.public_key(), [(alternative, False)])
    files = directory / "authority.pem", directory / "server.pem"
    files[0].write_bytes(own.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files[1].write_bytes(private + mine.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1])
    return context, files[0]


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


@contextlib.contextmanager
def closing_all() -> Iterator[Callable[[Any], Any]]:
    """Close what was handed to the function, the last first."""
    with contextlib.ExitStack() as stack:
        yield lambda opened: stack.enter_context(contextlib.closing(opened))
