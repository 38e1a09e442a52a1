"""What a file is by its first bytes, held against what its name says."""

import re
import struct
import zlib
from pathlib import PurePosixPath
from typing import BinaryIO

from colchis_steps._step.errors import InputError

HEAD = 4096  # bytes that are looked at
NAMED = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npz": "npz",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
    ".png": "image",
    ".jpg": "image",
    ".jpeg": "image",
    ".webp": "image",
}
PACKED = {".gz": "gzip", ".zst": "zstd"}
WORDS = {
    "csv": "text such as CSV",
    "parquet": "Parquet",
    "npz": "an npz of NumPy",
    "arrow": "Arrow IPC",
    "tfrecord": "TFRecord",
    "image": "an image",
    "html": "a page of HTML or XML, likely the error of a server",
    "json": "JSON",
    "pdf": "a PDF",
    "npy": "a single array of NumPy",
    "binary": "of no kind that is known here",
}
REMEDIES = {
    "html": "fetch the file itself",
    "json": "write it as CSV or Parquet",
    "npy": "write it with numpy.savez, with its label",
}
READ = "give CSV, Parquet, TFRecord, npz, Arrow IPC, or a folder of images"
MAGIC = (
    (rb"PAR1", "parquet"),
    (rb"PK\x03\x04", "npz"),
    (rb"ARROW1\0\0|\xff\xff\xff\xff", "arrow"),
    (rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF.{4}WEBP", "image"),
    (rb"\x93NUMPY", "npy"),
    (rb"%PDF-", "pdf"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|error)\b", "html"),
    (rb"\s*[\[{]\s*[\[{\"]", "json"),
)
UNPACKED = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))


def named(name: str) -> str:
    """Return the kind that a file's name tells, without ``.gz`` or ``.zst``; empty where it tells none."""
    path = PurePosixPath(name.lower())
    return NAMED.get(PurePosixPath(path.stem).suffix if path.suffix in PACKED else path.suffix, "")


def kind_of(file: BinaryIO, name: str, where: str) -> tuple[str, str]:
    """Return a file's kind, and how it is compressed (gzip, zstd or empty), by its bytes.

    Raises:
        InputError: it is empty, of a kind that is not read, or of another one than its name says.
    """
    head = file.read(HEAD)
    if not head:
        raise InputError(f"{where} is empty, 0 bytes; get it anew, or leave it out")
    packed = next((word for magic, word in UNPACKED if head.startswith(magic)), "")
    found, told = _by_bytes(_unpacked(head, packed)), named(name)
    if found == "binary" and told == "csv":  # UTF-16 has zeros, and --encoding tells
        found = told
    if found == "json" and told == "csv":
        found = told
    if found not in NAMED.values():
        raise InputError(f"{where} is {WORDS[found]}; {REMEDIES.get(found, READ)}")
    if told and found != told:
        raise InputError(f"{where} is named as {WORDS[told]} and is {WORDS[found]}; give it the name of what it is")
    if packed and found not in {"csv", "tfrecord"}:
        raise InputError(f"{where} is {WORDS[found]} inside {packed}; decompress it, as it can be compressed itself")
    return found, packed


def _by_bytes(head: bytes) -> str:
    from awscrt.checksums import crc32c

    for magic, word in MAGIC:
        if re.match(magic, head, re.DOTALL):
            return word
    if len(head) >= 12 and masked(crc32c(head[:8])) == struct.unpack("<I", head[8:12])[0]:
        return "tfrecord"
    return "binary" if b"\0" in head else "csv"


def _unpacked(head: bytes, packed: str) -> bytes:
    if packed == "gzip":
        try:
            return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, HEAD)
        except zlib.error as error:
            raise InputError("the file begins as gzip and is none; get it anew") from error
    if packed == "zstd":
        import pyarrow as pa

        try:
            return bytes(pa.CompressedInputStream(pa.BufferReader(head), "zstd").read(HEAD))
        except (OSError, pa.ArrowException):  # cut off, as this is only its beginning
            return b"text"
    return head


def masked(crc: int) -> int:
    """Return a checksum as TFRecord keeps it: rotated, plus a constant."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
