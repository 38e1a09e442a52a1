"""Compress a layer where that pays: trained weights hardly shrink, graphs and sparse tables do.

zstd and never gzip: it packs a gigabyte in seconds and unpacks as fast as a disk writes. The first MiB of a file
decides for all of it, wherever the file lies, so that equal files are packed alike.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator

from colchis_steps._image import Block

SAMPLE = 1 << 20  # bytes
LEAST = 64 << 10  # bytes; below, a layer's tar is mostly its headers
WORTH = 0.75  # of its size is what a sample may keep
LEVEL = 3  # zstd's default


def pays(blocks: Iterator[Block]) -> bool:
    """Say whether compressing these bytes pays; no more is taken than it needs."""
    from backports import zstd

    made, read, kept = zstd.ZstdCompressor(level=LEVEL), 0, 0
    for block in blocks:
        head = block[: SAMPLE - read]
        read, kept = read + len(head), kept + len(made.compress(head))
        if read == SAMPLE:
            break
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
