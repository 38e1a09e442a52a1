"""Compress a layer where that pays: trained weights hardly shrink, graphs and sparse tables do.

zstd and never gzip: it packs a gigabyte in seconds and unpacks as fast as a disk writes. The same pieces of a file
decide wherever the file lies, so that equal files are packed alike.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator

from colchis_steps._oci.image import Block

PIECE, PIECES = 256 << 10, 4  # bytes of a sample's piece, and how many there are of a large file


LEAST = 64 << 10  # bytes; below, a layer's tar is mostly its headers
WORTH = 0.75  # of its size is what a sample may keep
LEVEL = 3  # zstd's default


def sampled(size: int) -> list[tuple[int, int]]:
    """Return where a file of the size is sampled, from and to in bytes: all of a small one, else even pieces of it."""
    if size <= PIECE * PIECES:
        return [(0, size)]
    return [(start, start + PIECE) for start in (number * (size - PIECE) // (PIECES - 1) for number in range(PIECES))]


def pays(pieces: Iterable[Block]) -> bool:
    """Return whether compressing what these pieces are a sample of pays."""
    from backports import zstd

    made, read, kept = zstd.ZstdCompressor(level=LEVEL), 0, 0
    for piece in pieces:
        read, kept = read + len(piece), kept + len(made.compress(piece))
    kept += len(made.flush())
    return read >= LEAST and kept <= WORTH * read


class Compressed:
    """A tar's bytes compressed; once they have been given, ``size`` and the tar's digest ``diff_id`` are known."""

    def __init__(self, blocks: Callable[[], Iterable[Block]]) -> None:
        self.blocks, self.size, self.diff_id = blocks, 0, ""

    def __iter__(self) -> Iterator[Block]:
        from backports import zstd

        made, digest, self.size = zstd.ZstdCompressor(level=LEVEL), hashlib.sha256(), 0
        for block in self.blocks():
            digest.update(block)
            if packed := made.compress(block):
                self.size += len(packed)
                yield packed
        rest = made.flush()
        self.size += len(rest)
        self.diff_id = f"sha256:{digest.hexdigest()}"
        yield rest
