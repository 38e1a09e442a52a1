"""A store in an S3 bucket: AWS, or any server that knows conditional writes (MinIO, versitygw, SeaweedFS …).

Endpoint, region and credentials come from the SDK's own chain (AWS_ENDPOINT_URL, AWS_PROFILE, a role …).
"""

import base64
import contextlib
import functools
import hashlib
import logging
import random
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
import botocore.loaders
import botocore.session
from botocore import exceptions as sdk
from botocore.config import Config

from colchis_steps._s3_errors import Busy, Place, Taken, UploadGone, code_of, explained
from colchis_steps._step import InputError, TransientError
from colchis_steps._store import CHUNK, Conflict, NotFound, check_key, readable

PART = 16 << 20  # bytes of a part; at most PARTS_IN_FLIGHT of them are in memory
PARTS_IN_FLIGHT = 4
MAX_PARTS = 10_000
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
log = logging.getLogger("colchis")


@functools.cache
def _descriptions() -> Any:
    """Give the SDK's descriptions of services, which take longer to read than all else in a client, once a process."""
    return botocore.loaders.create_loader()


def connect(url: str, *, checksums: bool = True) -> Any:
    """Give an S3 client: path-style where the endpoint is not AWS, bounded waits and retries.

    Raises:
        InputError: the profile or the endpoint is no such thing.
    """
    given: dict[str, Any] = {
        "connect_timeout": 5,
        "read_timeout": 60,
        "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        "max_pool_connections": 16,
    }
    if not checksums:
        given |= {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    try:
        core = botocore.session.Session()
        core.register_component("data_loader", _descriptions())
        session = boto3.Session(botocore_session=core)
        client = session.client("s3", config=Config(**given, s3={"addressing_style": "path"}))
        if (urlsplit(client.meta.endpoint_url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
            client = session.client("s3", config=Config(**given))
    except (sdk.BotoCoreError, ValueError) as error:
        raise InputError(f"no client for {url} ({error}); correct the AWS_ settings or ~/.aws/config") from error
    return client


class _Sending(NamedTuple):
    """A file on its way in parts: ``there`` are those that the server has from an earlier attempt."""

    key: str
    path: Path
    upload: str
    there: dict[int, dict[str, Any]]
    sent: Callable[[int], object]


class S3Store:
    """Objects below ``prefix`` in ``bucket``; the entity tag is the server's."""

    def __init__(self, bucket: str, prefix: str) -> None:
        if prefix:
            check_key(prefix)
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = connect(self.url)
        self._checksums = True
        self._place = Place(self.url, bucket, self._client.meta.endpoint_url)
        self._parts = ThreadPoolExecutor(PARTS_IN_FLIGHT, "s3-part")

    def read(self, key: str) -> bytes:
        """Give an object's bytes."""
        return self.read_tagged(key)[0]

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """Give an object's bytes and tag."""
        answer = self._call("get_object", key)
        with explained(self._place, key), contextlib.closing(answer["Body"]) as body:
            return body.read(), answer["ETag"]

    def stream(self, key: str, chunk: int = CHUNK) -> Iterator[bytes]:
        """Give an object's bytes in chunks."""
        answer = self._call("get_object", key)
        with explained(self._place, key), contextlib.closing(answer["Body"]) as body:
            yield from body.iter_chunks(chunk)

    def size(self, key: str) -> int | None:
        """Give an object's size, or None."""
        try:
            return int(self._call("head_object", key)["ContentLength"])
        except NotFound:  # HEAD does not say whether the object or the bucket is absent
            next(self.keys(key), None)
            return None

    def keys(self, prefix: str) -> Iterator[str]:
        """Give each key that begins with the prefix, in order."""
        pages = self._client.get_paginator("list_objects_v2")
        with explained(self._place, prefix):
            for page in pages.paginate(Bucket=self._place.bucket, Prefix=self._prefix + prefix):
                for item in page.get("Contents", ()):
                    yield item["Key"].removeprefix(self._prefix)

    def write(self, key: str, content: bytes) -> None:
        """Write an object, over what is there."""
        self._put(key, content)

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless the key is taken."""
        try:
            self._put(key, content, IfNoneMatch="*")
        except Taken:
            return False
        return True

    def replace(self, key: str, content: bytes, tag: str | None) -> None:
        """Write over the object that has this tag."""
        try:
            self._put(key, content, **({"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}))
        except NotFound as error:  # If-Match on a key that is not there
            raise Conflict(key) from error

    def upload(self, key: str, path: Path, sent: Callable[[int], object] | None = None) -> bool:
        """Send a file unless the key is taken: in one request, or in parts that a later attempt takes up."""
        with readable(path):
            size = path.stat().st_size
            content = path.read_bytes() if size <= PART else b""
        if size > PART:
            return self.size(key) is None and self._upload_parts(key, path, size, sent or (lambda _: None))
        written = self.create(key, content)
        if written and sent:
            sent(len(content))
        return written

    def delete(self, key: str) -> None:
        """Remove an object."""
        with contextlib.suppress(NotFound):
            self._call("delete_object", key)

    def _put(self, key: str, content: bytes, **condition: str) -> None:
        for attempt in range(ATTEMPTS):
            try:
                self._call("put_object", key, Body=content, **condition)
            except Busy:
                time.sleep(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311 - spreads writers, keeps no secret
            else:
                return
        raise TransientError(f"others keep writing {key} in {self.url}; try again")

    def _upload_parts(self, key: str, path: Path, size: int, sent: Callable[[int], object]) -> bool:
        length = max(PART, -(-size // MAX_PARTS))
        for _ in range(ATTEMPTS):
            upload, there = self._begin(key)
            try:
                parts = self._send_parts(_Sending(key, path, upload, there, sent), range(0, size, length))
                self._call(
                    "complete_multipart_upload",
                    key,
                    UploadId=upload,
                    MultipartUpload={"Parts": parts},
                    IfNoneMatch="*",
                )
            except (UploadGone, Busy):  # another sender of the same file was faster or gave up
                self._abort(key, upload)
                if self.size(key) is not None:
                    return False
            except Taken:
                self._abort(key, upload)
                return False
            except TransientError:  # the parts stay for the next attempt
                raise
            except BaseException:
                self._abort(key, upload)
                raise
            else:
                return True
        raise TransientError(f"others keep writing {key} in {self.url}; try again")

    def _begin(self, key: str) -> tuple[str, dict[int, dict[str, Any]]]:
        """Take up the newest unfinished upload of this key with its parts, or begin one."""
        with contextlib.suppress(InputError, UploadGone):  # without the right to list, begin anew
            with explained(self._place, key):
                found = self._client.list_multipart_uploads(Bucket=self._place.bucket, Prefix=self._prefix + key)
            mine = [u for u in found.get("Uploads", ()) if u["Key"] == self._prefix + key]
            if mine:
                upload = max(mine, key=lambda u: u["Initiated"])["UploadId"]
                pages = self._client.get_paginator("list_parts")
                with explained(self._place, key):
                    listed = pages.paginate(Bucket=self._place.bucket, Key=self._prefix + key, UploadId=upload)
                    return upload, {part["PartNumber"]: part for page in listed for part in page.get("Parts", ())}
        return self._call("create_multipart_upload", key, ChecksumAlgorithm="CRC32")["UploadId"], {}

    def _send_parts(self, it: _Sending, offsets: range) -> list[dict[str, Any]]:
        def send(number: int, offset: int) -> dict[str, Any]:
            with readable(it.path), it.path.open("rb") as file:
                file.seek(offset)
                content = file.read(offsets.step)
            answer = it.there.get(number)
            if not answer or not _same(answer, content):
                answer = self._call("upload_part", it.key, UploadId=it.upload, PartNumber=number, Body=content)
                it.sent(len(content))
            kept = {name: answer[name] for name in ("ETag", "ChecksumCRC32") if answer.get(name)}
            return {"PartNumber": number, **kept}

        futures = [self._parts.submit(send, number, offset) for number, offset in enumerate(offsets, 1)]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:  # after an error or a signal nothing is sent behind the abort
            for future in futures:
                future.cancel()
            wait(futures)
        return [future.result() for future in sorted(futures, key=Future.cancelled)]  # the error, not its echoes

    def _abort(self, key: str, upload: str) -> None:
        with contextlib.suppress(InputError, TransientError, UploadGone):
            self._call("abort_multipart_upload", key, UploadId=upload)

    def _call(self, operation: str, key: str, **arguments: Any) -> Any:
        check_key(key)
        arguments |= {"Bucket": self._place.bucket, "Key": self._prefix + key}
        with explained(self._place, key):
            if not self._checksums:
                arguments.pop("ChecksumAlgorithm", None)
                return getattr(self._client, operation)(**arguments)
            try:
                return getattr(self._client, operation)(**arguments)
            except sdk.ClientError as error:
                if "Body" not in arguments and "ChecksumAlgorithm" not in arguments:
                    raise
                if code_of(error) not in CHECKSUM_REFUSALS:
                    raise
                arguments.pop("ChecksumAlgorithm", None)
                plain = connect(self.url, checksums=False)
                answer = getattr(plain, operation)(**arguments)
                self._client, self._checksums = plain, False
                log.warning(
                    "%s refuses the SDK's checksums (%s): going on without; digests are still verified",
                    self._place.endpoint,
                    code_of(error),
                )
                return answer


def _same(part: dict[str, Any], content: bytes) -> bool:
    """Tell whether a part that the server has holds these bytes, by CRC-32 where it keeps one, else by MD5."""
    if part.get("Size") != len(content):
        return False
    if checksum := part.get("ChecksumCRC32"):
        return bool(checksum == base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode())
    return bool(part["ETag"].strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest())
