"""A store in an S3 bucket: AWS, or any server that knows conditional writes (MinIO, versitygw, SeaweedFS …)."""

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.ahead import ahead
from colchis_steps._store.api import Blob, Conflict, Entry, NotFound
from colchis_steps._store.s3.bucket import ATTEMPTS, CHECKSUM, TELL_CHECKSUM, Bucket, not_implemented
from colchis_steps._store.s3.errors import Busy, Taken, UploadGone, explained
from colchis_steps._store.s3.send import Request
from colchis_steps._store.s3.upload import send_all, send_parts, send_whole
from colchis_steps._store.sums import CHUNK, PART, Sums, read_sums

PARTS_IN_FLIGHT = 4
COPY_WHOLE = 5 << 30  # bytes that one CopyObject takes, and one part of a larger copy


class S3Store:
    """Objects below a prefix of a bucket; the entity tag is the server's."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = Bucket(bucket, prefix)
        self.url = self._bucket.url
        self._parts = ThreadPoolExecutor(PARTS_IN_FLIGHT, "s3-part")

    @property
    def atomic(self) -> bool | None:
        """Whether the server holds conditions; None until the first ``create``."""
        return self._bucket.conditions

    def read(self, key: str) -> bytes:
        """Give an object's bytes."""
        return self.read_tagged(key)[0]

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """Give an object's bytes and tag."""
        answer = self._bucket.call("get_object", key)
        with explained(self._bucket.place, key), contextlib.closing(answer["Body"]) as body:
            return body.read(), answer["ETag"]

    def stream(self, key: str, chunk: int = CHUNK, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Give an object's bytes, or those from ``start`` to before ``end``, in chunks."""
        return self._bucket.stream(key, chunk, start, end)

    def find(self, key: str) -> Entry | None:
        """Tell of an object, or give None."""
        try:
            found = self._bucket.head(key)
        except NotFound:  # HEAD does not say whether the object or the bucket is absent
            next(self.keys(key), None)
            return None
        return _entry(key, found)

    def size(self, key: str) -> int | None:
        """Give an object's size, or None."""
        found = self.find(key)
        return found.size if found else None

    def keys(self, prefix: str) -> Iterator[str]:
        """Give each key that begins with the prefix, in order."""
        return (entry.key for entry in self.entries(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Give each object whose key begins with the prefix, in order."""
        pages = self._bucket.client.get_paginator("list_objects_v2")
        with explained(self._bucket.place, prefix):
            for page in pages.paginate(Bucket=self._bucket.place.bucket, Prefix=self._bucket.prefix + prefix):
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._bucket.prefix)
                    yield Entry(key, item["Size"], item["LastModified"].timestamp())

    def write(self, key: str, content: bytes) -> None:
        """Write an object, over what is there."""
        self._put(key, content)

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless the key is taken.

        The first object that a process creates is sent twice: a server that takes it twice does not know the condition,
        and then the key is looked at before it is written. Writers that race can overwrite each other there.
        """
        if self.atomic is False and self.size(key) is not None:
            return False
        try:
            self._put(key, content, IfNoneMatch="*")
        except Taken:
            self._bucket.conditions = True
            return False
        if self.atomic is None:
            try:
                self._put(key, content, IfNoneMatch="*")
            except Taken:
                self._bucket.conditions = True
            else:
                self._bucket.go_unconditional("overwrites in spite of If-None-Match")
        return True

    def replace(self, key: str, content: bytes, tag: str | None) -> None:
        """Write over the object that has this tag."""
        if self.atomic is False:
            try:
                found = self.read_tagged(key)[1]
            except NotFound:
                found = None
            if found != tag:
                raise Conflict(key)
        try:
            self._put(key, content, **({"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}))
        except NotFound as error:  # If-Match on a key that is not there
            raise Conflict(key) from error

    def upload(
        self, key: str, path: Path, sent: Callable[[int], object] | None = None, sums: Sums | None = None
    ) -> bool:
        """Send a file unless the key is taken: in one request, or in parts that a later attempt takes up."""
        sums = sums or read_sums(path)
        if sums.size <= PART:
            return send_whole(self._bucket, key, path, sums, sent)
        return self.size(key) is None and send_parts(self._bucket, key, path, sums, sent, threads=self._parts)

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the bucket, by the server, over what is there; onto itself it becomes as new."""
        size = self.size(source)
        if size is None:
            raise NotFound(f"the store {self.url} has no {source}; make it first")
        place = self._bucket.place
        origin = {"Bucket": place.bucket, "Key": self._bucket.prefix + source}
        if size <= COPY_WHOLE:
            more = {"MetadataDirective": "REPLACE"} if source == target else {}
            self._bucket.call("copy_object", target, CopySource=origin, **more)
            return
        upload = self._bucket.call("create_multipart_upload", target)["UploadId"]
        try:
            parts = []
            for number, start in enumerate(range(0, size, COPY_WHOLE), 1):
                given = {"UploadId": upload, "PartNumber": number, "CopySource": origin}
                until = min(start + COPY_WHOLE, size) - 1
                answer = self._bucket.call(
                    "upload_part_copy", target, CopySourceRange=f"bytes={start}-{until}", **given
                )
                parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
            self._bucket.call("complete_multipart_upload", target, UploadId=upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with contextlib.suppress(InputError, TransientError):
                self._bucket.call("abort_multipart_upload", target, UploadId=upload)
            raise

    def find_all(self, keys: Sequence[str]) -> Iterator[Entry | None]:
        """Tell of each object."""
        told = TELL_CHECKSUM if self._bucket.checksums else {}
        answers = self._bucket.many([Request("HEAD", key, headers=told) for key in keys])
        for key, answer in zip(keys, answers, strict=True):
            yield _entry(key, answer.headers) if answer and answer.status == 200 else None

    def read_all(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """Give each object's bytes."""
        answers = self._bucket.many([Request("GET", key) for key in keys])
        return (answer.content if answer and answer.status == 200 else None for answer in answers)

    def upload_all(self, blobs: Iterable[Blob]) -> Iterator[Blob]:
        """Send each file unless its key is taken; give those that were written."""
        if self.atomic is not False:
            return send_all(self._bucket, blobs)

        def send(blob: Blob) -> tuple[Blob, bool]:  # each key is looked at first
            return blob, send_whole(self._bucket, blob.key, blob.path, blob.sums, None)

        return (blob for blob, written in ahead(self._parts, send, blobs, PARTS_IN_FLIGHT) if written)

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> Iterator[bool]:
        """Copy each object by the server, over what is there."""
        top, requests = f"{self._bucket.place.bucket}/{self._bucket.prefix}", list[Request]()
        for source, target in pairs:
            told = {"x-amz-copy-source": quote(top + source, safe="/-_.~")}
            if source == target:
                told["x-amz-metadata-directive"] = "REPLACE"
            requests.append(Request("PUT", target, headers=told))
        answers = self._bucket.many(requests)  # an error may come after a 200
        return (bool(answer and answer.status == 200 and b"<Error>" not in answer.content) for answer in answers)

    def delete(self, key: str) -> None:
        """Remove an object."""
        with contextlib.suppress(NotFound):
            self._bucket.call("delete_object", key)

    def abandon(self, prefix: str, before: float) -> int:
        """End uploads that were begun before that time and not finished."""
        place, ended = self._bucket.place, 0
        pages = self._bucket.client.get_paginator("list_multipart_uploads")
        with explained(place, prefix):
            for page in pages.paginate(Bucket=place.bucket, Prefix=self._bucket.prefix + prefix):
                for found in page.get("Uploads", ()):
                    if found["Initiated"].timestamp() < before:
                        key = found["Key"].removeprefix(self._bucket.prefix)
                        with contextlib.suppress(NotFound, UploadGone):  # it has just been finished or ended
                            self._bucket.call("abort_multipart_upload", key, UploadId=found["UploadId"])
                        ended += 1
        return ended

    def _put(self, key: str, content: bytes, **condition: str) -> None:
        for attempt in range(ATTEMPTS):
            try:
                self._bucket.call("put_object", key, Body=content, **({} if self.atomic is False else condition))
            except Busy:
                time.sleep(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311 - spreads writers, keeps no secret
            except InputError as error:
                if not condition or self.atomic is False or not not_implemented(error):
                    raise
                self._bucket.go_unconditional("does not implement conditional writes")
            else:
                return
        raise TransientError(f"others keep writing {key} in {self.url}; try again")


def _entry(key: str, headers: Mapping[str, str]) -> Entry:
    """Read what an answer tells of an object."""
    kept = headers.get(CHECKSUM, "")
    whole = "" if "-" in kept else kept  # one with a number of parts is of their checksums, not of the bytes
    modified = parsedate_to_datetime(headers["last-modified"]).timestamp()
    return Entry(key, int(headers["content-length"]), modified, whole)
