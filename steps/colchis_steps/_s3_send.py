"""Bytes to a bucket: signed requests straight from a file, on connections of our own.

The SDK reads a body in small blocks and, over plain HTTP, hashes it once more, which is most of what an upload costs.
Here a body goes from the page cache to the socket; the server holds it against a checksum that the caller has.
Signature: AWS Signature Version 4, "Authenticating Requests (Authorization Header)" in the S3 API reference.
"""

import contextlib
import functools
import hashlib
import hmac
import http.client
import queue
import random
import ssl
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree as ET

from botocore import exceptions as sdk
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from colchis_steps._s3_errors import Place, explained, passes
from colchis_steps._step import InputError
from colchis_steps._store import CHUNK, readable
from colchis_steps._sums import changed

UNSIGNED = "UNSIGNED-PAYLOAD"  # the checksum header, which is signed, stands for the body
WAIT = 60.0  # seconds for an answer
SAFE = "-_.~"
SMALL = 64 << 10  # bytes of a body that goes with its headers in one write


class Slice(NamedTuple):
    """Bytes of a file."""

    path: Path
    offset: int
    length: int


class Request(NamedTuple):
    """A PUT, or a HEAD without a body: ``payload`` is the body's sha256 in hex, or ``UNSIGNED``."""

    key: str
    body: Slice | None
    headers: Mapping[str, str]
    query: Mapping[str, str] = {}
    payload: str = UNSIGNED


class Sender:
    """Sends requests to one bucket; threads may share it.

    Args:
        client: the SDK's, for endpoint, addressing style, region and credentials.
        place: the bucket.
        verify: what the SDK verifies certificates against: a file of authorities, or None for its own.
        attempts: how often a request is sent at most.
    """

    def __init__(self, client: Any, place: Place, verify: str | None, attempts: int) -> None:
        example = client.generate_presigned_url("put_object", Params={"Bucket": place.bucket, "Key": "k"})
        url = urlsplit(example)
        self._place, self._host, self._attempts = place, url.netloc, attempts
        self._base = unquote(url.path).removesuffix("k")
        self._region = client.meta.region_name or "us-east-1"
        self._credentials = client._request_signer._credentials
        self._idle = queue.LifoQueue[http.client.HTTPConnection]()
        self._connect = _connector(url.scheme, url.netloc, verify)
        weakref.finalize(self, _close, self._idle)

    def send(self, request: Request, sent: Callable[[int], object] | None = None) -> Mapping[str, str]:
        """Send it, again after a passing fault; give the answer's headers, names in lower case.

        Raises:
            InputError, TransientError, Conflict: as ``explained`` says; InputError for a file that changes meanwhile.
        """
        with explained(self._place, request.key):
            for attempt in range(1, self._attempts + 1):
                try:
                    answer = self._once(request)
                except sdk.SSLError:
                    raise
                except (sdk.ClientError, sdk.ConnectionError) as error:
                    if attempt == self._attempts or not passes(error):
                        raise
                    time.sleep(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311 - spreads senders, keeps no secret
                else:
                    if sent and request.body:
                        sent(request.body.length)
                    return answer
        raise AssertionError("the last attempt answers or raises")

    def _once(self, request: Request) -> Mapping[str, str]:
        path = quote(self._base + request.key, safe=f"/{SAFE}")
        query = "&".join(f"{quote(n, safe=SAFE)}={quote(v, safe=SAFE)}" for n, v in sorted(request.query.items()))
        keys = self._credentials.get_frozen_credentials() if self._credentials else None
        if keys is None:
            raise sdk.NoCredentialsError
        method, body = ("PUT", request.body) if request.body else ("HEAD", None)
        headers = signed(
            {"host": self._host, **request.headers},
            f"{method}\n{path}\n{query}",
            request.payload,
            keys=keys,
            region=self._region,
            at=datetime.now(UTC),
        )
        with self._connection() as connection:
            target = f"{path}?{query}" if query else path
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body:
                connection.putheader("content-length", str(body.length))
            # A server that refuses may answer and close before it has read the body: its answer is the thing to tell.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                if body and body.length > SMALL:
                    connection.endheaders()
                    _send(connection, body)
                else:
                    connection.endheaders(_read(body) if body else None)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status < 300:
                return {name.lower(): value for name, value in answer.getheaders()}
        raise _error(answer, content)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        """Lend a connection; only one whose answer was read to its end is used again."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._connect()
        try:
            yield connection
        except ssl.SSLError as error:
            connection.close()
            raise sdk.SSLError(endpoint_url=self._place.endpoint, error=error) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise sdk.EndpointConnectionError(endpoint_url=self._place.endpoint, error=error) from error
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)


def _close(idle: queue.LifoQueue[http.client.HTTPConnection]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            idle.get_nowait().close()


def _connector(scheme: str, netloc: str, verify: str | None) -> Callable[[], http.client.HTTPConnection]:
    """Give what opens a connection, through the proxy of the environment where there is one."""
    parts = urlsplit(f"{scheme}://{netloc}")
    host, port = parts.hostname or "", parts.port
    context = None
    if scheme == "https":
        context = ssl.create_default_context(cafile=verify or get_cert_path(verify=True))
    proxy = get_environ_proxies(f"{scheme}://{netloc}").get(scheme, "")
    via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")

    def connect() -> http.client.HTTPConnection:
        at, door = (via.hostname or "", via.port) if proxy else (host, port)
        if context:
            made: http.client.HTTPConnection = http.client.HTTPSConnection(at, door, timeout=WAIT, context=context)
        else:
            made = http.client.HTTPConnection(at, door, timeout=WAIT)
        if proxy:
            made.set_tunnel(host, port)
        return made

    return connect


def _read(body: Slice) -> bytes:
    with readable(body.path), body.path.open("rb", buffering=0) as file:
        file.seek(body.offset)
        content = file.read(body.length) or b""
    if len(content) != body.length:
        raise changed(body.path)
    return content


def _send(connection: http.client.HTTPConnection, body: Slice) -> None:
    """Send the bytes: from the page cache by the kernel, or in blocks where TLS must see them.

    Raises:
        InputError: the file has become shorter.
    """
    with readable(body.path):
        file = body.path.open("rb", buffering=0)
    with file:
        if not isinstance(connection.sock, ssl.SSLSocket):
            if connection.sock.sendfile(file, body.offset, body.length) < body.length:
                raise changed(body.path)
            return
        file.seek(body.offset)
        left, buffer = body.length, memoryview(bytearray(CHUNK // 4))
        while left:
            block = buffer[: file.readinto(buffer[:left])]
            if not block:
                raise changed(body.path)
            connection.sock.sendall(block)
            left -= len(block)


def signed(
    headers: Mapping[str, str], what: str, payload: str, *, keys: Any, region: str, at: datetime
) -> dict[str, str]:
    """Give the headers with those of the signature; ``what`` is method, encoded path and query, a line each."""
    time_, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    told = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    told |= {"x-amz-content-sha256": payload, "x-amz-date": time_}
    if keys.token:
        told["x-amz-security-token"] = keys.token
    names = sorted(told)
    lines = "".join(f"{name}:{told[name]}\n" for name in names)
    canonical = f"{what}\n{lines}\n{';'.join(names)}\n{payload}"
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{time_}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(_signing_key(keys.secret_key, scope), text.encode(), "sha256").hex()
    told["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return told


@functools.lru_cache(4)
def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _error(answer: http.client.HTTPResponse, content: bytes) -> Exception:
    """Give the SDK's error for an answer, or a sentence for a bucket that is elsewhere."""
    try:
        found = {child.tag.rpartition("}")[2]: child.text or "" for child in ET.fromstring(content)}  # noqa: S314
    except ET.ParseError:
        found = {}
    code = found.get("Code", "") or str(answer.status)
    region = answer.getheader("x-amz-bucket-region", "") or found.get("Region", "")
    if region and (300 <= answer.status < 400 or code == "AuthorizationHeaderMalformed"):
        return InputError(f"the bucket is in region {region}; set AWS_REGION={region}")
    told = {
        "Error": {"Code": code, "Message": found.get("Message", "")},
        "ResponseMetadata": {"HTTPStatusCode": answer.status},
    }
    error: Exception = sdk.ClientError(told, "PutObject")
    return error
