"""A file to a bucket: in one request, or in parts that a later attempt takes up, even one on another machine.

The journal of an upload is the server's: ListMultipartUploads at the blob's key and ListParts. Nothing is kept on the
disk of a pod, which is gone with it. A part that is there counts where its size and checksum are those of the file's.
A part is in memory while it is sent (a bytearray that is used again would be: the SDK copies it, but not bytes).
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

from awscrt.checksums import crc64nvme

from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._store.api import Blob
from colchis_steps._store.s3.bucket import NOT_IMPLEMENTED, Bucket, code_of_answer
from colchis_steps._store.s3.connection import ATTEMPTS
from colchis_steps._store.s3.errors import Busy, Taken, UploadGone, explained
from colchis_steps._store.sums import Sums, changed, check_unchanged, encoded, part_length, readable

Sent = Callable[[int], object]
Part = dict[str, Any]  # as ListParts and CompleteMultipartUpload have it


class _Sending(NamedTuple):
    """A file on its way in parts: ``there`` are those that the server has from an earlier attempt."""

    key: str
    path: Path
    sums: Sums
    upload: str
    there: dict[int, Part]
    sent: Sent | None


def send_whole(bucket: Bucket, blob: Blob) -> bool:
    """Send a file of one part in one request unless the key is taken; return whether it was written."""
    try:
        bucket.put(blob.key, content_of(blob), blob.sums.parts[0], if_none_match="*")
    except Taken:
        return False
    return True


def content_of(blob: Blob) -> bytes:
    """Return the bytes of a file of one part.

    Raises:
        InputError: they are not those whose checksum was read before.
    """
    return _read(blob.path, 0, blob.sums.size, blob.sums.parts[0]) if blob.content is None else blob.content


def send_parts(
    bucket: Bucket, key: str, path: Path, sums: Sums, sent: Sent | None, *, threads: ThreadPoolExecutor
) -> bool:
    """Send a large file unless the key is taken meanwhile; return whether it was written.

    After a TransientError, as after kill -9, the parts stay for the next attempt; after any other error they go.
    """
    for _ in range(ATTEMPTS):
        upload, there = _begin(bucket, key)
        try:
            with _unchanged(path, sums):
                parts = _send(bucket, threads, _Sending(key, path, sums, upload, there, sent))
            check_unchanged(path, sums)
            _complete(bucket, key, upload, parts, sums)
        except (Busy, UploadGone) as error:  # another writer of this key was faster, or is just done: look again
            there_now = bucket.is_there(key)
            if there_now or isinstance(error, UploadGone):  # its parts are not what the server reported of them
                _abort(bucket, key, upload)
            if there_now:
                return False
        except Taken:
            _abort(bucket, key, upload)
            return False
        except TransientError:
            raise
        except BaseException:
            _abort(bucket, key, upload)
            raise
        else:
            return True
    raise TransientError(f"others keep writing {key} in {bucket.url}; try again")


def _begin(bucket: Bucket, key: str) -> tuple[str, dict[int, Part]]:
    """Take up the newest unfinished upload of this key with its parts, or begin one."""
    place, full = bucket.place, bucket.prefix + key
    with contextlib.suppress(InputError, UploadGone):  # without the right to list, begin anew
        with explained(place, key):
            found = bucket.client.list_multipart_uploads(Bucket=place.bucket, Prefix=full)
        ours = {"", "CRC64NVME"}  # not every server lists it
        mine = [u for u in found.get("Uploads", ()) if u["Key"] == full and u.get("ChecksumAlgorithm", "") in ours]
        if mine:
            upload = max(mine, key=lambda u: u["Initiated"])["UploadId"]
            return upload, _parts(bucket, key, upload)
    return bucket.begin(key), {}


def _parts(bucket: Bucket, key: str, upload: str) -> dict[int, Part]:
    pages = bucket.client.get_paginator("list_parts")
    with explained(bucket.place, key):
        listed = pages.paginate(Bucket=bucket.place.bucket, Key=bucket.prefix + key, UploadId=upload)
        return {part["PartNumber"]: part for page in listed for part in page.get("Parts", ())}


def _send(bucket: Bucket, threads: ThreadPoolExecutor, it: _Sending) -> list[Part]:
    length = part_length(it.sums.size)

    def send(number: int, crc: int) -> Part:
        offset = (number - 1) * length
        size = min(length, it.sums.size - offset)
        there, tag = it.there.get(number), ""
        if there and there.get("Size") == size and _same(there, it.path, offset, crc):
            tag = there.get("ETag", "")
        if not tag:
            body = _read(
                it.path, offset, size, None if bucket.checksums else crc
            )  # or the server holds it against that
            tag = bucket.put_part(it.key, body, crc, it.upload, number)
            if it.sent:
                it.sent(size)
        return {"PartNumber": number, "ETag": tag, "ChecksumCRC64NVME": encoded(crc)}

    futures = [threads.submit(send, number, crc) for number, crc in enumerate(it.sums.parts, 1)]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:  # after an error or a signal nothing is sent behind the abort
        for future in futures:
            future.cancel()
        wait(futures)
    parts = [future.result() for future in sorted(futures, key=Future.cancelled)]  # the error, not its echoes
    if all(part["ETag"] for part in parts):
        return parts
    listed = _parts(bucket, it.key, it.upload)  # a server that answers no tag may list one
    for part in parts:
        part["ETag"] = listed.get(part["PartNumber"], {}).get("ETag", "")
        if not part["ETag"]:
            raise InputError(
                f"{bucket.place.endpoint} reports no ETag of the parts of {it.key} in {bucket.url}; give another store"
            )
    return parts


def _complete(bucket: Bucket, key: str, upload: str, parts: list[Part], sums: Sums) -> None:
    given: dict[str, Any] = {"UploadId": upload} | ({} if bucket.conditions is False else {"IfNoneMatch": "*"})
    if bucket.checksums:
        given |= {"ChecksumCRC64NVME": encoded(sums.crc64nvme), "ChecksumType": "FULL_OBJECT"}
    else:
        parts = [{name: part[name] for name in ("PartNumber", "ETag")} for part in parts]
    try:
        bucket.call("complete_multipart_upload", key, MultipartUpload={"Parts": parts}, **given)
    except InputError as error:
        if "IfNoneMatch" not in given or code_of_answer(error) not in NOT_IMPLEMENTED:
            raise
        bucket.go_unconditional("does not implement conditional writes")
        _complete(bucket, key, upload, parts, sums)


def _abort(bucket: Bucket, key: str, upload: str) -> None:
    with contextlib.suppress(InputError, TransientError, UploadGone):
        bucket.call("abort_multipart_upload", key, UploadId=upload)


def _read(path: Path, offset: int, size: int, crc: int | None) -> bytes:
    """Read bytes of a file, and hold them against their checksum where it is given.

    Raises:
        InputError: they are not those whose checksum was read before.
    """
    with readable(path), path.open("rb", buffering=0) as file:
        file.seek(offset)
        body = file.read(size)
    if len(body) != size or (crc is not None and crc64nvme(body) != crc):
        raise changed(path)
    return body


def _same(part: Part, path: Path, offset: int, crc: int) -> bool:
    """Return whether a part that the server has holds these bytes: by its CRC where it keeps one, else by MD5."""
    if checksum := part.get("ChecksumCRC64NVME"):
        return bool(checksum == encoded(crc))
    body = _read(path, offset, part["Size"], crc)
    return bool(part.get("ETag", "").strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest())


@contextlib.contextmanager
def _unchanged(path: Path, sums: Sums) -> Iterator[None]:
    """Name the file where it, and not the way, is why bytes do not arrive whole."""
    try:
        yield
    except StepError:
        check_unchanged(path, sums)
        raise
