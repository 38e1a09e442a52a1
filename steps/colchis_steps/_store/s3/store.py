"""A store in an S3 bucket: AWS, or any server that knows conditional writes (MinIO, versitygw, SeaweedFS …)."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.ahead import ahead
from colchis_steps._store.api import Blob, Conflict, Entry, NotFound, check_key, check_size
from colchis_steps._store.s3.bucket import Bucket
from colchis_steps._store.s3.errors import Denied, Taken, UploadGone, explained
from colchis_steps._store.s3.upload import content_of, send_parts, send_whole
from colchis_steps._store.sums import CHUNK, PART, SMALL, Sums, read_sums

if TYPE_CHECKING:
    from colchis_steps._store.s3.small import Small

PARTS_IN_FLIGHT = 4
SMALL_IN_FLIGHT = 8
WINDOW = 4 * SMALL_IN_FLIGHT  # small objects that are taken and not yet given back
COPY_WHOLE = 5 << 30  # bytes that one CopyObject takes, and one part of a larger copy


class S3Store:
    """Objects below a prefix of a bucket; the entity tag is the server's."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = Bucket(bucket, prefix)
        self.url = self._bucket.url
        self._parts = ThreadPoolExecutor(PARTS_IN_FLIGHT, "s3-part")
        self._many = ThreadPoolExecutor(SMALL_IN_FLIGHT, "s3-small")

    @functools.cached_property
    def _small(self) -> "Small":
        from colchis_steps._store.s3.small import Small

        return Small(self._bucket)

    @property
    def atomic(self) -> bool | None:
        """Whether the server holds conditions; None until the first ``create``."""
        return self._bucket.conditions

    def read(self, key: str, most: int | None = None) -> bytes:
        """Return an object's bytes."""
        return self.read_tagged(key, most)[0]

    def read_tagged(self, key: str, most: int | None = None) -> tuple[bytes, str]:
        """Return an object's bytes and tag."""
        checked = {"ChecksumMode": "ENABLED"} if self._bucket.checksums else {}
        answer = self._bucket.call("get_object", key, **checked)
        with explained(self._bucket.place, key), contextlib.closing(answer["Body"]) as body:
            check_size(key, self.url, answer.get("ContentLength", 0), most)
            return body.read(), answer.get("ETag", "")

    def stream(
        self, key: str, chunk: int = CHUNK, start: int = 0, end: int | None = None, *, tag: str = ""
    ) -> Iterator[bytes]:
        """Yield an object's bytes, or those from ``start`` to before ``end``, in chunks."""
        part = {} if (start, end) == (0, None) else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        answer = self._bucket.call("get_object", key, **part, **({"IfMatch": tag} if tag else {}))
        with explained(self._bucket.place, key), contextlib.closing(answer["Body"]) as body:
            blocks = iter(lambda: body.read(chunk), b"")
            whole = part and answer["ResponseMetadata"]["HTTPStatusCode"] == 200
            yield from _within(blocks, start, end) if whole else blocks

    def find(self, key: str) -> Entry | None:
        """Report an object, or return None."""
        try:
            return self._entry(key, self._bucket.head(key))
        except NotFound:  # HEAD does not say whether the object or the bucket is absent
            with contextlib.suppress(Denied):
                next(self.keys(key), None)
            return None

    def size(self, key: str) -> int | None:
        """Return an object's size, or None."""
        found = self.find(key)
        return found.size if found else None

    def keys(self, prefix: str) -> Iterator[str]:
        """Return each key that begins with the prefix, in order."""
        return (entry.key for entry in self.entries(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield each object whose key begins with the prefix, in order."""
        pages = self._bucket.client.get_paginator("list_objects_v2")
        with explained(self._bucket.place, prefix):
            for page in pages.paginate(Bucket=self._bucket.place.bucket, Prefix=self._bucket.prefix + prefix):
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._bucket.prefix)
                    yield Entry(key, item["Size"], item["LastModified"].timestamp())

    def write(self, key: str, content: bytes) -> None:
        """Write an object, over what is there."""
        self._bucket.put(key, content)

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless the key is taken.

        The first object that a process creates is sent twice: a server that takes it twice does not know the condition,
        and then the key is looked at before it is written. Writers that race can overwrite each other there.
        """
        try:
            self._bucket.put(key, content, if_none_match="*")
        except Taken:
            if self.atomic is None:
                self._bucket.conditions = True
            return False
        if self.atomic is None:
            try:
                self._bucket.put(key, content, if_none_match="*")
            except Taken:
                self._bucket.conditions = True
            else:
                self._bucket.go_unconditional("overwrites in spite of If-None-Match")
        return True

    def replace(self, key: str, content: bytes, tag: str | None) -> None:
        """Write over the object that has this tag."""
        try:
            if tag is None:
                self._bucket.put(key, content, if_none_match="*")
            else:
                self._bucket.put(key, content, if_match=tag)
        except NotFound as error:  # If-Match on a key that is not there
            raise Conflict(key) from error

    def upload(
        self, key: str, path: Path, sent: Callable[[int], object] | None = None, sums: Sums | None = None
    ) -> bool:
        """Send a file unless the key is taken: in one request, or in parts that a later attempt takes up."""
        sums = sums or read_sums(path)
        if sums.size <= PART:  # by those threads that send parts, whose number bounds what is in memory
            written = self._parts.submit(send_whole, self._bucket, Blob(key, path, sums)).result()
            if written and sent:
                sent(sums.size)
            return written
        return self.size(key) is None and send_parts(self._bucket, key, path, sums, sent, threads=self._parts)

    def copy(self, source: str, target: str, *, tag: str = "") -> None:
        """Copy an object within the bucket, by the server, over what is there; onto itself it becomes as new."""
        size = self.size(source)
        if size is None:
            raise NotFound(f"the store {self.url} has no {source}; make it first")
        if size <= COPY_WHOLE:
            self._copy_whole(source, target, tag)
            return
        origin = {"Bucket": self._bucket.place.bucket, "Key": self._bucket.prefix + source}
        upload = self._bucket.call("create_multipart_upload", target, **self._bucket.encryption)["UploadId"]
        try:
            parts = []
            for number, start in enumerate(range(0, size, COPY_WHOLE), 1):
                given = {"UploadId": upload, "PartNumber": number, "CopySource": origin, **_while(tag)}
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
        """Report each object."""
        return ahead(self._many, self._found, keys, WINDOW)

    def read_all(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """Return each object's bytes."""
        return ahead(self._many, self._short, keys, WINDOW)

    def upload_all(self, blobs: Iterable[Blob]) -> Iterator[Blob]:
        """Send each file unless its key is taken; return those that were written."""

        def send(blob: Blob) -> Blob | None:
            written = self._small.put(blob.key, content_of(blob))
            if written is None:
                written = send_whole(self._bucket, blob)
            return blob if written else None

        return (blob for blob in ahead(self._many, send, blobs, WINDOW) if blob)

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> Iterator[bool]:
        """Copy each object by the server, over what is there."""

        def copied(pair: tuple[str, str]) -> bool:
            if (done := self._small.copy(*pair)) is not None:
                return done
            try:
                self._copy_whole(*pair)
            except NotFound:
                return False
            return True

        return ahead(self._many, copied, pairs, WINDOW)

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

    def _found(self, key: str) -> Entry | None:
        if found := self._small.get(key):
            return found.entry
        with contextlib.suppress(NotFound):
            return self._entry(key, self._bucket.head(key))
        return None

    def _short(self, key: str) -> bytes | None:
        """Read an object of at most SMALL bytes; return None for one that is absent or longer."""
        if found := self._small.get(key):
            return found.content
        with contextlib.suppress(NotFound):
            answer = self._bucket.call("get_object", key)
            with explained(self._bucket.place, key), contextlib.closing(answer["Body"]) as body:
                content: bytes = body.read(SMALL + 1)
                return content if len(content) <= SMALL else None
        return None

    def _copy_whole(self, source: str, target: str, tag: str = "") -> None:
        check_key(source)
        origin = {"Bucket": self._bucket.place.bucket, "Key": self._bucket.prefix + source}
        more = {"MetadataDirective": "REPLACE"} if source == target else {}
        self._bucket.call("copy_object", target, CopySource=origin, **more, **_while(tag), **self._bucket.encryption)

    def _entry(self, key: str, answer: Mapping[str, Any]) -> Entry:
        """Read what an answer to HEAD reports; what it leaves out is looked up in a listing."""
        kept = answer.get("ChecksumCRC64NVME", "")
        whole = "" if "-" in kept else kept  # one with a number of parts is of their checksums, not of the bytes
        if "ContentLength" in answer and "LastModified" in answer:
            time, tag = answer["LastModified"].timestamp(), answer.get("ETag", "")
            return Entry(key, answer["ContentLength"], time, whole, tag)
        for entry in self.entries(key):
            if entry.key == key:
                return entry._replace(crc64nvme=whole, tag=answer.get("ETag", ""))
        raise NotFound(f"the store {self.url} has no {key}; check the address, or make it first")


def _while(tag: str) -> dict[str, str]:
    """Return the condition of a copy: the source is what it was when it had this tag."""
    return {"CopySourceIfMatch": tag} if tag else {}


def _within(blocks: Iterable[bytes], start: int, end: int | None) -> Iterator[bytes]:
    """Cut what was asked for out of all bytes, which a server that ignores Range answers."""
    at = 0
    for block in blocks:
        if part := block[max(0, start - at) : None if end is None else max(0, end - at)]:
            yield part
        at += len(block)
        if end is not None and at >= end:
            return
