"""A file's digests from one read: sha256 names its blob, CRC64NVME of each part lets a server check what reaches it."""

import base64
import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from colchis_steps._step.errors import InputError

CHUNK = 1 << 20
SMALL = 64 << 10  # bytes of an object of which many are on their way at a time


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an error of a local file into a sentence of its own, apart from the store's."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a file that this user can read") from error


PART = 16 << 20  # bytes of a part, and of the largest file that goes in one request
MAX_PARTS = 10_000  # S3's limit


class Sums(NamedTuple):
    """What one read of a file found; ``stamp`` tells whether it was written to since."""

    size: int
    sha256: str  # hex; empty where only the parts were asked for
    parts: tuple[int, ...]  # CRC64NVME of each part of ``part_length(size)`` bytes; an empty file has one
    stamp: tuple[int, int, int]

    @property
    def crc64nvme(self) -> int:
        """Return the checksum of the whole file."""
        from awscrt.checksums import combine_crc64nvme

        length, whole = part_length(self.size), self.parts[0]
        for number, part in enumerate(self.parts[1:], 1):
            whole = combine_crc64nvme(whole, part, min(length, self.size - number * length))
        return whole


def part_length(size: int) -> int:
    """Return the bytes of each part but the last, for a file of this size: always the same, so that parts compare."""
    return max(PART, -(-size // (MAX_PARTS * CHUNK)) * CHUNK)


def read_sums(path: Path, *, sha256: bool = True) -> Sums:
    """Read a file once for its digests.

    Raises:
        InputError: it cannot be read, or is written to meanwhile.
    """
    from awscrt.checksums import crc64nvme

    digest, parts = hashlib.sha256(), list[int]()
    with readable(path), path.open("rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        size, stamp, length = found.st_size, _stamp(found), part_length(found.st_size)
        buffer = memoryview(bytearray(min(CHUNK, size)))
        for offset in range(0, max(size, 1), length):
            crc, left = 0, min(length, size - offset)
            while left:
                block = buffer[: file.readinto(buffer[:left])]
                if not block:
                    raise changed(path)
                crc, left = crc64nvme(block, crc), left - len(block)
                if sha256:
                    digest.update(block)
            parts.append(crc)
    sums = Sums(size, digest.hexdigest() if sha256 else "", tuple(parts), stamp)
    check_unchanged(path, sums)
    return sums


def read_small(path: Path) -> tuple[bytes, Sums]:
    """Read a file of at most SMALL bytes; return them and their digests.

    Raises:
        InputError: as ``read_sums`` does, or it is larger.
    """
    from awscrt.checksums import crc64nvme

    with readable(path):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            stamp = _stamp(os.fstat(handle))
            content = os.read(handle, min(stamp[1], SMALL) + 1)
            unchanged = _stamp(os.fstat(handle)) == stamp and len(content) == stamp[1] <= SMALL
        finally:
            os.close(handle)
    if not unchanged:
        raise changed(path)
    return content, Sums(len(content), hashlib.sha256(content).hexdigest(), (crc64nvme(content),), stamp)


def sums_of(content: bytes) -> Sums:
    """Return the digests of at most SMALL bytes that are in memory."""
    from awscrt.checksums import crc64nvme

    return Sums(len(content), hashlib.sha256(content).hexdigest(), (crc64nvme(content),), (0, len(content), 0))


def check_unchanged(path: Path, sums: Sums) -> None:
    """Refuse a file that was written to since its sums were read.

    Raises:
        InputError: it was, or it is gone; it is named.
    """
    with readable(path):
        if _stamp(path.stat()) != sums.stamp:
            raise changed(path)


def changed(path: Path) -> InputError:
    """Return the error about a file that does not hold still."""
    return InputError(f"{path} changed while it was read; let whatever writes it end, then run again")


def encoded(crc: int) -> str:
    """Return a CRC64NVME as S3's headers and answers hold it."""
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
