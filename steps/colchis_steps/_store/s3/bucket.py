"""A bucket as the store's modules use it: the SDK's calls and our PUTs, with the checksums that its server knows.

Endpoint, region and credentials come from the SDK's own chain (AWS_ENDPOINT_URL, AWS_PROFILE, a role …).
"""

import functools
import gzip
import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.loaders
import botocore.session
import msgspec
from awscrt.checksums import crc64nvme
from botocore import exceptions as sdk
from botocore.config import Config

from colchis_steps._step.errors import InputError
from colchis_steps._store.api import check_key
from colchis_steps._store.s3.errors import Place, code_of, explained
from colchis_steps._store.s3.send import UNSIGNED, Answered, Request, Sender
from colchis_steps._store.s3.wire import Slice
from colchis_steps._store.sums import CHUNK, changed, encoded, readable

ATTEMPTS = 4


# What servers answer that do not know the SDK's checksums (headers and trailers, on since boto3 1.36).
CHECKSUM_REFUSALS = {
    "InvalidArgument",
    "InvalidRequest",
    "MissingContentMD5",
    "NotImplemented",
    "SignatureDoesNotMatch",
    "XAmzContentSHA256Mismatch",
}
CHECKED = {"Body", "ChecksumAlgorithm"}  # arguments of calls that have to do with checksums
OPENERS: dict[str, Callable[..., Any]] = {".json": open, ".json.gz": gzip.open}
CHECKSUM = "x-amz-checksum-crc64nvme"
TELL_CHECKSUM = {"x-amz-checksum-mode": "ENABLED"}
log = logging.getLogger("colchis")


class _Files:
    """Reads the SDK's descriptions of services as its own loader does, but in a third of the time."""

    def exists(self, path: str) -> bool:
        """Say whether there is a description, packed or not."""
        return any(Path(path + ending).is_file() for ending in OPENERS)

    def load_file(self, path: str) -> Any:
        """Give a description, or None."""
        for ending, opened in OPENERS.items():
            if Path(path + ending).is_file():
                with opened(path + ending, "rb") as file:
                    return msgspec.json.decode(file.read())
        return None


@functools.cache
def _descriptions() -> Any:
    """Give the SDK's descriptions of services, once a process."""
    return botocore.loaders.Loader(file_loader=_Files())


def connect(url: str, *, checksums: bool = True) -> tuple[Any, str | None]:
    """Give an S3 client, path-style where the endpoint is not AWS, with bounded waits and retries; and its CA file.

    Raises:
        InputError: the profile or the endpoint is no such thing.
    """
    given: dict[str, Any] = {
        "connect_timeout": 5,
        "read_timeout": 60,
        "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        "max_pool_connections": 16,
        "signature_version": "s3v4",
    }
    if not checksums:
        given |= {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    try:
        core = botocore.session.Session()
        core.register_component("data_loader", _descriptions())
        client = core.create_client("s3", config=Config(**given, s3={"addressing_style": "path"}))
        if (urlsplit(client.meta.endpoint_url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
            client = core.create_client("s3", config=Config(**given))
        return client, core.get_config_variable("ca_bundle")
    except (sdk.BotoCoreError, ValueError) as error:
        raise InputError(f"no client for {url} ({error}); correct the AWS_ settings or ~/.aws/config") from error


class Bucket:
    """A prefix of a bucket, and what its server can do; threads may share it.

    ``checksums`` goes off where the server does not know them, ``conditions`` where it ignores or refuses
    If-None-Match (None: not known yet); either is said once.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        if prefix:
            check_key(prefix)
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self.client, self._authorities = connect(self.url)
        self.checksums = True
        self.conditions: bool | None = None
        self.place = Place(self.url, bucket, self.client.meta.endpoint_url)
        self._lock = threading.Lock()

    @functools.cached_property
    def _sender(self) -> Sender:
        with explained(self.place, ""):
            return Sender(self.client, self.place, self.prefix, self._authorities, ATTEMPTS)

    def call(self, operation: str, key: str, **arguments: Any) -> Any:
        """Make one of the SDK's calls on a key; its errors are raised as ours."""
        check_key(key)
        arguments |= {"Bucket": self.place.bucket, "Key": self.prefix + key}
        with explained(self.place, key):
            if self.checksums:
                try:
                    return getattr(self.client, operation)(**arguments)
                except sdk.ClientError as error:
                    if not CHECKED & arguments.keys() or code_of(error) not in CHECKSUM_REFUSALS:
                        raise
                    why = code_of(error)
                arguments = _without_checksum(arguments)
                plain, _ = connect(self.url, checksums=False)
                answer = getattr(plain, operation)(**arguments)  # where this fails too, it was not the checksum
                self.go_without(why, plain)
                return answer
            return getattr(self.client, operation)(**_without_checksum(arguments))

    def head(self, key: str) -> dict[str, str]:
        """Ask for an object's headers, its checksum among them; names are in lower case. Raises NotFound."""
        check_key(key)
        request = Request("HEAD", key)
        if self.checksums:
            try:
                return dict(self._sender.send(request._replace(headers=TELL_CHECKSUM)))
            except InputError as error:  # a refusal without a reason: an answer to HEAD has no body
                if not isinstance(error.__cause__, sdk.ClientError) or code_of(error.__cause__) != "400":
                    raise
        return dict(self._sender.send(request))

    def stream(self, key: str, chunk: int, start: int, end: int | None) -> Iterator[bytes]:
        """Give an object's bytes, or those from ``start`` to before ``end``, in chunks. Raises NotFound."""
        check_key(key)
        whole = (start, end) == (0, None)
        part = {} if whole else {"range": f"bytes={start}-{'' if end is None else end - 1}"}
        return self._sender.stream(Request("GET", key, headers=part), chunk)

    def many(self, requests: Iterable[Request]) -> Iterator[Answered | None]:
        """Send small requests as ``Sender.many`` does."""
        return self._sender.many(map(_checked, requests))

    def put(
        self,
        key: str,
        body: Slice,
        crc: int,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        sha256: str = "",
        sent: Callable[[int], object] | None = None,
    ) -> dict[str, str]:
        """Send bytes of a file whose CRC64NVME, or sha256 too, the caller has; give the answer's headers.

        The server holds them against the CRC or, where it doesn't know that, against their sha256, which the signature
        covers and every server checks.

        Raises:
            InputError: the file is not what it was when its checksum was read.
        """
        check_key(key)
        request = Request("PUT", key, body, headers or {}, query or {}, sha256 or UNSIGNED)
        if self.checksums:
            checked = request._replace(headers={**request.headers, CHECKSUM: encoded(crc)})
            try:
                answer = self._sender.send(checked, sent)
            except InputError as error:
                cause = error.__cause__
                if not isinstance(cause, sdk.ClientError) or code_of(cause) not in CHECKSUM_REFUSALS:
                    raise
                why = code_of(cause)
            else:
                if sha256 or answer.get(CHECKSUM) == encoded(crc):
                    return dict(answer)
                self.go_without("it tells none of what it got", connect(self.url, checksums=False)[0])
                if _digest(body, crc, hashlib.md5(usedforsecurity=False)) == answer["etag"].strip('"'):
                    return dict(answer)
                return dict(self._sender.send(request._replace(payload=_digest(body, crc, hashlib.sha256()))))
            answer = self._sender.send(request._replace(payload=sha256 or _digest(body, crc, hashlib.sha256())), sent)
            self.go_without(why, connect(self.url, checksums=False)[0])
            return dict(answer)
        return dict(self._sender.send(request._replace(payload=sha256 or _digest(body, crc, hashlib.sha256())), sent))

    def go_unconditional(self, why: str) -> None:
        """From now on look at a key before it is written, instead of a condition; say so once."""
        with self._lock:
            if self.conditions is not False:
                self.conditions = False
                text = "%s %s: keys are looked at before they are written, so let no two runs write to %s at once"
                log.warning(text, self.place.endpoint, why, self.url)

    def go_without(self, why: str, client: Any) -> None:
        """From now on send no checksums; say so once."""
        with self._lock:
            if self.checksums:
                self.client, self.checksums = client, False
                text = "%s refuses the SDK's checksums (%s): going on without; digests are still verified"
                log.warning(text, self.place.endpoint, why)


def _checked(request: Request) -> Request:
    check_key(request.key)
    return request


def not_implemented(error: InputError) -> bool:
    """Tell whether the server answered that it does not know what was asked."""
    return isinstance(error.__cause__, sdk.ClientError) and code_of(error.__cause__) in {"501", "NotImplemented"}


def _without_checksum(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if not name.startswith("Checksum")}


def _digest(body: Slice, crc: int, digest: "hashlib._Hash") -> str:
    """Read the bytes for a digest; refuse them where they have changed since their CRC was read."""
    found, left = 0, body.length
    with readable(body.path), body.path.open("rb") as file:
        file.seek(body.offset)
        while left and (block := file.read(min(CHUNK, left))):
            digest.update(block)
            found, left = crc64nvme(block, found), left - len(block)
    if left or found != crc:
        raise changed(body.path)
    return digest.hexdigest()
