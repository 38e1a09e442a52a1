"""Zips that others made: the list of members is bounded before it is read; each is there once, stored or deflated."""

import zipfile
from typing import IO

DIRECTORY = 4 << 20  # bytes of a zip's list of members, which zipfile reads into memory, with an object for each
END, TAIL, LOCATOR, RECORD = b"PK\x05\x06", 22, 20, 56


def open_zip(file: IO[bytes], members: int) -> zipfile.ZipFile:
    """Return the zip, which has at most so many members.

    Raises:
        zipfile.BadZipFile: it is none, has more members, or one name twice.
    """
    if (size := _directory(file)) > DIRECTORY:
        raise zipfile.BadZipFile(f"its list of members has {size} bytes")
    try:
        found = zipfile.ZipFile(file)
    except (NotImplementedError, ValueError, OverflowError) as error:  # a version of the format, or nonsense in it
        raise zipfile.BadZipFile(str(error)[:128]) from error
    names = found.namelist()
    if len(names) > members:
        raise zipfile.BadZipFile(f"it has {len(names)} members, more than {members}")
    if len(set(names)) != len(names):
        raise zipfile.BadZipFile("it has a name twice")
    if odd := {info.compress_type for info in found.infolist()} - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise zipfile.BadZipFile(f"it is compressed by method {min(odd)}, whose reader takes memory as the file says")
    return found


def _directory(file: IO[bytes]) -> int:
    """Return the size of the list of members, found as zipfile finds it; 0 where there is none."""
    end = file.seek(0, 2)
    start = file.seek(max(0, end - (1 << 16) - TAIL - LOCATOR - RECORD))
    tail = file.read(end - start)
    at = len(tail) - TAIL
    if tail[at : at + 4] != END or tail[-2:] != b"\0\0":  # with a comment behind it
        at = tail.rfind(END)
    if at < 0:
        return 0
    if tail[at - LOCATOR : at - LOCATOR + 4] == b"PK\x06\x07" and at >= LOCATOR + RECORD:  # for above 4 GiB
        at -= LOCATOR + RECORD
        return int.from_bytes(tail[at + 40 : at + 48], "little")
    return int.from_bytes(tail[at + 12 : at + 16], "little")
