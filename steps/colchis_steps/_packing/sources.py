"""Where a packer reads a model's files: blobs of a store, held against their digests, or a directory as it stands.

Either gives a file's bytes in blocks, each good until the next one: nothing is copied that need not be.
"""

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from colchis_steps._content.blobs import contents, plain_files
from colchis_steps._formats.keys import blob_key
from colchis_steps._formats.models import File
from colchis_steps._oci.image import Block
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects, bulk
from colchis_steps._store.sums import readable

BLOCK = 256 << 10  # bytes; stays in the processor's cache between hashing and sending

Held = Mapping[int, bytes]  # pieces of a file that were read before, by where they start
NOTHING: Held = {}


class Source(Protocol):
    """A model's files."""

    @property
    def files(self) -> Sequence[File]:
        """The files; a digest that is not known is empty."""

    def reader(self, group: Sequence[File], held: Held = NOTHING) -> Callable[[File], Iterator[Block]]:
        """Return what reads the files of a group, each once, in their order: a file's bytes in blocks.

        ``held`` are pieces of the group's only file, which are not read again. A block is good until the next one. The
        reader raises InputError where a file is missing, altered or changes meanwhile; it is named.
        """

    def piece(self, file: File, start: int, end: int) -> bytes:
        """Return the file's bytes from ``start`` to before ``end``, unverified."""

    def settle(self) -> None:
        """Say that all has been read. Raises InputError where a file has changed since."""

    def key(self, file: File) -> str:
        """Return what names the file's bytes for as long as it is the same."""


class StoreSource:
    """The blobs of a manifest's files."""

    def __init__(self, store: Objects, files: Sequence[File]) -> None:
        self.store, self.files = store, files
        keys = [blob_key(file.sha256) for file in files]
        for file, key, found in zip(files, keys, bulk(store).find_all(keys), strict=True):
            if (size := found.size if found else store.size(key)) != file.size:
                fault = "is missing" if size is None else f"has {size} bytes instead of {file.size}"
                raise InputError(f"blob {file.sha256} of {file.path} in {store.url} {fault}; upload the model again")

    def reader(self, group: Sequence[File], held: Held = NOTHING) -> Callable[[File], Iterator[Block]]:
        """Return what reads the blobs, each verified at its end; many small ones come ahead of their turn."""
        if held:
            return lambda file: self._verified(file, self._with(file, held))
        ahead = contents(self.store, group)

        def read(file: File) -> Iterator[Block]:
            content = next(ahead)
            stored = self.store.stream(blob_key(file.sha256), BLOCK) if content is None else iter([content])
            return self._verified(file, stored)

        return read

    def _with(self, file: File, held: Held) -> Iterator[Block]:
        for start, end, content in around(file.size, held):
            yield from self.store.stream(blob_key(file.sha256), BLOCK, start, end) if content is None else [content]

    def _verified(self, file: File, blocks: Iterable[Block]) -> Iterator[Block]:
        digest, size = hashlib.sha256(), 0
        for block in blocks:
            size += len(block)
            if size > file.size:
                break
            digest.update(block)
            yield block
        if size != file.size or digest.hexdigest() != file.sha256:
            raise InputError(
                f"blob {file.sha256} of {file.path} in {self.store.url} is altered; upload the model again"
            )

    def piece(self, file: File, start: int, end: int) -> bytes:
        """Return some of the blob's bytes."""
        return b"".join(self.store.stream(blob_key(file.sha256), BLOCK, start, end))

    def settle(self) -> None:
        """Blobs have been verified."""

    def key(self, file: File) -> str:
        """Return the file's digest."""
        return file.sha256


class DirectorySource:
    """The files of a directory; their digests are not known, and not needed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.states = {path: _state(found) for path, found in plain_files(directory).items()}
        self.files = tuple(File(path=path, size=state[0], sha256="") for path, state in self.states.items())

    def reader(self, group: Sequence[File], held: Held = NOTHING) -> Callable[[File], Iterator[Block]]:  # noqa: ARG002
        """Return what reads the files."""
        return lambda file: self._blocks(file, held)

    def _blocks(self, file: File, held: Held) -> Iterator[Block]:
        with self._opened(file) as opened:
            for start, end, content in around(file.size, held):
                yield from self._read(file, opened, start, end) if content is None else [content]
            self._hold(file, os.fstat(opened.fileno()))

    def _read(self, file: File, opened: io.FileIO, start: int, end: int) -> Iterator[Block]:
        view = memoryview(bytearray(BLOCK))
        opened.seek(start)
        while start < end:
            with readable(self.directory / file.path):
                read = opened.readinto(view[: end - start])
            if not read:
                return
            start += read
            yield view[:read]

    def piece(self, file: File, start: int, end: int) -> bytes:
        """Return some of the file's bytes."""
        with self._opened(file) as opened, readable(self.directory / file.path):
            return os.pread(opened.fileno(), end - start, start)

    def _opened(self, file: File) -> io.FileIO:
        with readable(self.directory / file.path):
            handle = os.open(self.directory / file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        opened = io.FileIO(handle)
        try:
            self._hold(file, os.fstat(handle))
        except InputError:
            opened.close()
            raise
        return opened

    def settle(self) -> None:
        """Hold each file against what it was in the beginning."""
        for file in self.files:
            with readable(self.directory / file.path):
                self._hold(file, (self.directory / file.path).lstat())

    def key(self, file: File) -> str:
        """Return place, size, times and inode: what a write changes."""
        return f"{self.directory.resolve() / file.path} {' '.join(map(str, self.states[file.path]))}"

    def _hold(self, file: File, found: os.stat_result) -> None:
        if _state(found) != self.states[file.path] or not stat.S_ISREG(found.st_mode):
            raise InputError(
                f"{self.directory / file.path} changed while it was read; stop what writes it and pack it again"
            )


def around(size: int, held: Held) -> Iterator[tuple[int, int, bytes | None]]:
    """Return a file's parts in order, from where to where: those that are held, and None for those between them."""
    at = 0
    for start, content in sorted(held.items()):
        if at < start:
            yield at, start, None
        yield start, start + len(content), content
        at = start + len(content)
    if at < size:
        yield at, size, None


def _state(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)
