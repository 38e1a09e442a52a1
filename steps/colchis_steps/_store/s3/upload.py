"""A file to a bucket: in one request, or in parts that a later attempt takes up, even one on another machine.

The journal of an upload is the server's: ListMultipartUploads at the blob's key and ListParts. Nothing is kept on the
disk of a pod, which is gone with it. A part that is there counts where its size and checksum are those of the file's.
"""

import contextlib
import hashlib
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._store.api import Blob, NotFound
from colchis_steps._store.s3.bucket import ATTEMPTS, CHECKSUM, Bucket, not_implemented
from colchis_steps._store.s3.errors import Busy, Taken, UploadGone, explained
from colchis_steps._store.s3.send import Request
from colchis_steps._store.s3.wire import Slice
from colchis_steps._store.sums import Sums, check_unchanged, encoded, part_length, readable

Sent = Callable[[int], object]


class _Sending(NamedTuple):
    """A file on its way in parts: ``there`` are those that the server has from an earlier attempt."""

    key: str
    path: Path
    sums: Sums
    upload: str
    there: dict[int, dict[str, Any]]
    sent: Sent | None


def send_whole(bucket: Bucket, key: str, path: Path, sums: Sums, sent: Sent | None) -> bool:
    """Send a small file in one request unless the key is taken; say whether it was written."""
    body, crc = Slice(path, 0, sums.size), sums.parts[0]
    for attempt in range(ATTEMPTS):
        if bucket.conditions is False and _is_there(bucket, key):
            return False
        condition = {} if bucket.conditions is False else {"if-none-match": "*"}
        try:
            with _unchanged(path, sums):
                bucket.put(key, body, crc, headers=condition, sha256=sums.sha256, sent=sent)
        except Taken:
            return False
        except InputError as error:
            if not condition or not not_implemented(error):
                raise
            bucket.go_unconditional("does not implement conditional writes")
        except Busy:
            time.sleep(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311 - spreads writers, keeps no secret
        else:
            return True
    raise TransientError(f"others keep writing {key} in {bucket.url}; try again")


def send_all(bucket: Bucket, blobs: Iterable[Blob]) -> Iterator[Blob]:
    """Send small files once, each unless its key is taken; give those that were written."""
    condition, waiting = {"if-none-match": "*"}, deque[Blob]()

    def requests() -> Iterator[Request]:
        for blob in blobs:
            waiting.append(blob)
            told = condition | {CHECKSUM: encoded(blob.sums.parts[0])} if bucket.checksums else condition
            body = Slice(blob.path, 0, blob.sums.size, blob.content)
            yield Request("PUT", blob.key, body, told, payload=blob.sums.sha256)

    for answer in bucket.many(requests()):
        blob = waiting.popleft()
        if answer and answer.status == 200:
            yield blob


def send_parts(
    bucket: Bucket, key: str, path: Path, sums: Sums, sent: Sent | None, *, threads: ThreadPoolExecutor
) -> bool:
    """Send a large file unless the key is taken meanwhile; say whether it was written.

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
            there_now = _is_there(bucket, key)
            if there_now or isinstance(error, UploadGone):  # its parts are not what the server told of them
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


def _begin(bucket: Bucket, key: str) -> tuple[str, dict[int, dict[str, Any]]]:
    """Take up the newest unfinished upload of this key with its parts, or begin one."""
    place, full = bucket.place, bucket.prefix + key
    with contextlib.suppress(InputError, UploadGone):  # without the right to list, begin anew
        with explained(place, key):
            found = bucket.client.list_multipart_uploads(Bucket=place.bucket, Prefix=full)
        ours = {"", "CRC64NVME"}  # not every server lists it
        mine = [u for u in found.get("Uploads", ()) if u["Key"] == full and u.get("ChecksumAlgorithm", "") in ours]
        if mine:
            upload = max(mine, key=lambda u: u["Initiated"])["UploadId"]
            pages = bucket.client.get_paginator("list_parts")
            with explained(place, key):
                listed = pages.paginate(Bucket=place.bucket, Key=full, UploadId=upload)
                return upload, {part["PartNumber"]: part for page in listed for part in page.get("Parts", ())}
    made = bucket.call("create_multipart_upload", key, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
    return made["UploadId"], {}


def _send(bucket: Bucket, threads: ThreadPoolExecutor, it: _Sending) -> list[dict[str, Any]]:
    length = part_length(it.sums.size)

    def send(number: int, crc: int) -> dict[str, Any]:
        offset = (number - 1) * length
        body = Slice(it.path, offset, min(length, it.sums.size - offset))
        if (there := it.there.get(number)) and _same(there, body, crc):
            return {"PartNumber": number, "ETag": there["ETag"], "ChecksumCRC64NVME": encoded(crc)}
        query = {"partNumber": str(number), "uploadId": it.upload}
        answer = bucket.put(it.key, body, crc, query=query, sent=it.sent)
        return {"PartNumber": number, "ETag": answer["etag"], "ChecksumCRC64NVME": encoded(crc)}

    futures = [threads.submit(send, number, crc) for number, crc in enumerate(it.sums.parts, 1)]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:  # after an error or a signal nothing is sent behind the abort
        for future in futures:
            future.cancel()
        wait(futures)
    return [future.result() for future in sorted(futures, key=Future.cancelled)]  # the error, not its echoes


def _complete(bucket: Bucket, key: str, upload: str, parts: list[dict[str, Any]], sums: Sums) -> None:
    given: dict[str, Any] = {"UploadId": upload} | ({} if bucket.conditions is False else {"IfNoneMatch": "*"})
    if bucket.checksums:
        given |= {"ChecksumCRC64NVME": encoded(sums.crc64nvme), "ChecksumType": "FULL_OBJECT"}
    else:
        parts = [{name: part[name] for name in ("PartNumber", "ETag")} for part in parts]
    try:
        bucket.call("complete_multipart_upload", key, MultipartUpload={"Parts": parts}, **given)
    except InputError as error:
        if "IfNoneMatch" not in given or not not_implemented(error):
            raise
        bucket.go_unconditional("does not implement conditional writes")
        _complete(bucket, key, upload, parts, sums)


def _is_there(bucket: Bucket, key: str) -> bool:
    try:
        bucket.head(key)
    except NotFound:
        return False
    return True


def _abort(bucket: Bucket, key: str, upload: str) -> None:
    with contextlib.suppress(InputError, TransientError, UploadGone):
        bucket.call("abort_multipart_upload", key, UploadId=upload)


def _same(part: dict[str, Any], body: Slice, crc: int) -> bool:
    """Tell whether a part that the server has holds these bytes: by its CRC where it keeps one, else by MD5."""
    if part.get("Size") != body.length:
        return False
    if checksum := part.get("ChecksumCRC64NVME"):
        return bool(checksum == encoded(crc))
    with readable(body.path), body.path.open("rb") as file:
        file.seek(body.offset)
        return bool(part["ETag"].strip('"') == hashlib.md5(file.read(body.length), usedforsecurity=False).hexdigest())


@contextlib.contextmanager
def _unchanged(path: Path, sums: Sums) -> Iterator[None]:
    """Name the file where it, and not the way, is why bytes do not arrive whole."""
    try:
        yield
    except StepError:
        check_unchanged(path, sums)
        raise
