"""Signed requests to a bucket, on connections of our own: files to it, blobs from it.

The SDK reads a body in small blocks and, over plain HTTP, hashes it once more, which is most of what an upload costs;
an answer goes through as many hands. Here a body goes from the page cache to the socket, and from the socket to whoever
hashes it; the server holds what it gets against a checksum that the caller has.
"""

import contextlib
import hashlib
import http.client
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree as ET

from botocore import exceptions as sdk

from colchis_steps._step.errors import InputError
from colchis_steps._store.s3.errors import Place, explained, passes
from colchis_steps._store.s3.sign import signed
from colchis_steps._store.s3.wire import Answer, Slice, Wire, Wires
from colchis_steps._store.sums import CHUNK

UNSIGNED = "UNSIGNED-PAYLOAD"  # the checksum header, which is signed, stands for the body
EMPTY = hashlib.sha256().hexdigest()
SAFE = "-_.~"
WINDOW = 32  # small requests on their way at a time
SHORT = 1 << 20  # bytes of the longest answer that is kept in memory
OPERATIONS = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject"}
T = TypeVar("T")


class Request(NamedTuple):
    """A request on a key: ``payload`` is the body's sha256 in hex, or ``UNSIGNED``."""

    method: str
    key: str
    body: Slice | None = None
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    payload: str = EMPTY


class Answered(NamedTuple):
    """A whole answer, also one that refuses."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Sender:
    """Sends requests to one bucket; threads may share it.

    Args:
        client: the SDK's, for endpoint, addressing style, region and credentials.
        place: the bucket.
        prefix: what comes before each key.
        verify: what the SDK verifies certificates against: a file of authorities, or None for its own.
        attempts: how often a request is sent at most.
    """

    def __init__(self, client: Any, place: Place, prefix: str, verify: str | None, attempts: int) -> None:
        example = client.generate_presigned_url("put_object", Params={"Bucket": place.bucket, "Key": "k"})
        url = urlsplit(example)
        self._place, self._host, self._attempts = place, url.netloc, attempts
        self._base = unquote(url.path).removesuffix("k") + prefix
        self._region = client.meta.region_name or "us-east-1"
        self._credentials = client._request_signer._credentials
        self._wires = Wires(url.scheme, url.netloc, verify)

    def send(self, request: Request, sent: Callable[[int], object] | None = None) -> Mapping[str, str]:
        """Send it, again after a passing fault; give the answer's headers, names in lower case.

        Raises:
            InputError, TransientError, Conflict: as ``explained`` says; InputError for a file that changes meanwhile.
        """

        def once() -> Mapping[str, str]:
            with self._wire() as wire:
                answer = self._ask(wire, request)
                for _ in answer.blocks(CHUNK):  # of no use, but in the way of the next answer
                    pass
                return answer.headers

        with explained(self._place, request.key):
            headers = self._tried(once)
            if sent and request.body:
                sent(request.body.length)
            return headers

    def stream(self, request: Request, chunk: int) -> Iterator[bytes]:
        """Send it, again after a passing fault until its answer has begun; give the answer's bytes in chunks.

        Raises:
            InputError, TransientError: as ``explained`` says; TransientError for bytes that end too early.
        """
        with explained(self._place, request.key), contextlib.ExitStack() as lent:

            def once() -> Answer:
                with contextlib.ExitStack() as tried:
                    answer = self._ask(tried.enter_context(self._wire()), request)
                    lent.enter_context(tried.pop_all())
                    return answer

            yield from self._tried(once).blocks(chunk)

    def many(self, requests: Iterable[Request]) -> Iterator[Answered | None]:
        """Send small requests, a window of them on their way at a time, from this one thread; give answers in order.

        Threads that wait for an answer each hand the interpreter's lock around, which took more time than the requests.
        Requests are taken as there is room. Nothing is tried again: None stands for a request without a whole and short
        answer. It, like one that the server refuses, is to be sent alone. So are all that follow where the server lets
        nobody in or keeps silent: whoever sends the first of them alone says so.

        Raises:
            InputError: no credentials, or a body's file changes meanwhile.
        """
        flying, coming, silent = deque[tuple[Request, Wire]](), iter(requests), False

        def landed() -> Answered | None:
            nonlocal silent
            request, wire = flying.popleft()
            if silent:
                wire.close()
                return None
            try:
                return _heard(request, wire, self._wires)
            except TimeoutError:
                silent = True
                return None

        try:
            with explained(self._place, ""):
                self._wires.open(len(first := list(islice(coming, WINDOW))))
                for request in chain(first, coming):
                    while (wire := None if silent or len(flying) == WINDOW else self._told(request)) is None and flying:
                        yield landed()
                    if wire:
                        flying.append((request, wire))
                    else:
                        silent = True
                        yield None
                while flying:
                    yield landed()
        finally:
            for _, wire in flying:
                wire.close()

    def _told(self, request: Request) -> Wire | None:
        """Send a request; give the connection on which its answer comes, or None."""
        wire = None
        try:
            wire = self._wires.take()
            self._tell(wire, request)
        except BaseException as error:
            if wire:
                wire.close()
            if not isinstance(error, OSError | http.client.HTTPException):
                raise
            return None
        return wire

    def _tried(self, once: Callable[[], T]) -> T:
        for attempt in range(1, self._attempts + 1):
            try:
                return once()
            except sdk.SSLError:
                raise
            except (sdk.ClientError, sdk.ConnectionError, sdk.IncompleteReadError) as error:
                if attempt == self._attempts or not passes(error):
                    raise
                time.sleep(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311 - spreads senders, keeps no secret
        raise AssertionError("the last attempt answers or raises")

    def _ask(self, wire: Wire, request: Request) -> Answer:
        self._tell(wire, request)
        answer = wire.hear(request.method)
        if answer.status >= 300:
            raise _error(answer, b"".join(answer.blocks(CHUNK)), OPERATIONS[request.method])
        return answer

    def _tell(self, wire: Wire, request: Request) -> None:
        path = quote(self._base + request.key, safe=f"/{SAFE}")
        query = "&".join(f"{quote(n, safe=SAFE)}={quote(v, safe=SAFE)}" for n, v in sorted(request.query.items()))
        keys = self._credentials.get_frozen_credentials() if self._credentials else None
        if keys is None:
            raise sdk.NoCredentialsError
        headers = signed(
            {"host": self._host, **request.headers},
            f"{request.method}\n{path}\n{query}",
            request.payload,
            keys=keys,
            region=self._region,
            at=datetime.now(UTC),
        )
        if request.body:
            headers["content-length"] = str(request.body.length)
        wire.tell(request.method, f"{path}?{query}" if query else path, headers, request.body)

    @contextlib.contextmanager
    def _wire(self) -> Iterator[Wire]:
        """Lend a connection; only one whose answer was read to its end is used again."""
        wire = None
        try:
            wire = self._wires.take()
            yield wire
        except sdk.ClientError:  # an answer, and read
            if wire:
                self._wires.give(wire)
            raise
        except BaseException as error:
            if wire:
                wire.close()
            if (told := _of_connection(error, self._place.endpoint)) is None:
                raise
            raise told from error
        self._wires.give(wire)


def _heard(request: Request, wire: Wire, wires: Wires) -> Answered | None:
    """Read a whole answer; give None where it breaks off or is too long. Raises TimeoutError."""
    try:
        answer = wire.hear(request.method)
        content = _short(answer.blocks(CHUNK))
    except BaseException as error:
        wire.close()
        if isinstance(error, TimeoutError) or not isinstance(error, OSError | http.client.HTTPException):
            raise
        return None
    wires.give(wire)
    return Answered(answer.status, answer.headers, content)


def _short(blocks: Iterator[bytes]) -> bytes:
    content = bytearray()
    for block in blocks:
        content += block
        if len(content) > SHORT:
            raise http.client.HTTPException("a long answer")
    return bytes(content)


def _of_connection(error: BaseException, endpoint: str) -> Exception | None:
    """Give the SDK's error for one of a connection, or None."""
    told: Exception | None = None
    if isinstance(error, ssl.SSLError):
        told = sdk.SSLError(endpoint_url=endpoint, error=error)
    elif isinstance(error, http.client.IncompleteRead):
        told = sdk.IncompleteReadError(actual_bytes=len(error.partial), expected_bytes=error.expected)
    elif isinstance(error, OSError | http.client.HTTPException):
        told = sdk.EndpointConnectionError(endpoint_url=endpoint, error=error)
    return told


def _error(answer: Answer, content: bytes, operation: str) -> Exception:
    """Give the SDK's error for an answer, or a sentence for a bucket that is elsewhere."""
    try:
        found = {child.tag.rpartition("}")[2]: child.text or "" for child in ET.fromstring(content)}  # noqa: S314
    except ET.ParseError:
        found = {}
    code = found.get("Code", "") or str(answer.status)
    region = answer.headers.get("x-amz-bucket-region", "") or found.get("Region", "")
    if region and (300 <= answer.status < 400 or code == "AuthorizationHeaderMalformed"):
        return InputError(f"the bucket is in region {region}; set AWS_REGION={region}")
    told = {
        "Error": {"Code": code, "Message": found.get("Message", "")},
        "ResponseMetadata": {"HTTPStatusCode": answer.status},
    }
    error: Exception = sdk.ClientError(told, operation)
    return error
