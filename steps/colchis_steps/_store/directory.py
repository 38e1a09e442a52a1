"""A store in a directory, with the same promises as a bucket.

An object is written to ``<root>/.incomplete/`` and appears under its key whole, by a link (which never overwrites) or a
rename. Its writer holds a lock on it; what lies there without a lock is of a dead writer, and the next one removes it.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from colchis_steps._store.ahead import ahead
from colchis_steps._store.api import TEMPORARY, Blob, Conflict, Entry, NotFound, check_key, check_size
from colchis_steps._store.file_errors import explained
from colchis_steps._store.sums import CHUNK, SMALL, Sums, changed, read_sums, readable

PARALLEL = 8  # files that wait for the disk at a time
LOCK = "lock"  # taken while an object changes its place, so that ``replace`` compares and writes as one step


class FileStore:
    """Objects are files below ``root``; the entity tag is the sha256 of the content."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.as_uri()
        self._swept = False

    @property
    def atomic(self) -> bool | None:
        """Conditions hold: a lock is taken for them."""
        return True

    def read(self, key: str, most: int | None = None) -> bytes:
        """Return an object's bytes."""
        with contextlib.suppress(OSError):  # which reading says
            check_size(key, self.url, self._path(key).stat().st_size, most)
        return b"".join(self.stream(key))

    def read_tagged(self, key: str, most: int | None = None) -> tuple[bytes, str]:
        """Return an object's bytes and tag."""
        return (content := self.read(key, most)), hashlib.sha256(content).hexdigest()

    def stream(
        self, key: str, chunk: int = CHUNK, start: int = 0, end: int | None = None, *, tag: str = ""
    ) -> Iterator[bytes]:
        """Return an object's bytes, or those from ``start`` to before ``end``, in chunks."""
        path = self._path(key)
        with explained(self.url, key):
            try:
                file = path.open("rb")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
                raise NotFound(self._absent(key)) from error
            with file:
                if tag and _tag(os.fstat(file.fileno())) != tag:
                    raise Conflict(key)
                file.seek(start)
                while block := file.read(chunk if end is None else min(chunk, end - file.tell())):
                    yield block

    def find(self, key: str) -> Entry | None:
        """Return an object's entry, or None."""
        path = self._path(key)
        with explained(self.url, key), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = path.stat()
            is_file = stat.S_ISREG(found.st_mode)
            return Entry(key, found.st_size, found.st_mtime, tag=_tag(found)) if is_file else None
        return None

    def size(self, key: str) -> int | None:
        """Return an object's size, or None."""
        found = self.find(key)
        return found.size if found else None

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield each key that begins with the prefix, in order."""
        directory = prefix.rpartition("/")[0]
        top = self._path(directory) if directory else self.root
        found: list[str] = []
        with explained(self.url, prefix):
            for at, directories, names in os.walk(top, onerror=_unless_absent):
                directories[:] = [name for name in directories if not name.startswith(TEMPORARY)]
                relative = Path(at).relative_to(self.root)
                found += [(relative / name).as_posix() for name in names]
        yield from sorted(key for key in found if key.startswith(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield an entry for each object whose key begins with the prefix, in order."""
        return (found for key in self.keys(prefix) if (found := self.find(key)))  # one may be removed meanwhile

    def write(self, key: str, content: bytes) -> None:
        """Write an object, over what is there."""
        self._put(key, [content], _rename)

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless the key is taken."""
        return self._put(key, [content], _link)

    def replace(self, key: str, content: bytes, tag: str | None) -> None:
        """Write over the object that has this tag."""

        def compared(temporary: Path, path: Path) -> bool:
            if self.read_tagged(key)[1] != tag:
                return False
            return _rename(temporary, path)

        try:
            written = self._put(key, [content], compared if tag else _link)
        except NotFound as error:
            raise Conflict(key) from error
        if not written:
            raise Conflict(key)

    def upload(
        self, key: str, path: Path, sent: Callable[[int], object] | None = None, sums: Sums | None = None
    ) -> bool:
        """Copy a file in unless the key is taken."""
        from awscrt.checksums import crc64nvme

        if self.size(key) is not None:
            return False
        known = sums or read_sums(path, sha256=False)

        def blocks(file: BinaryIO) -> Iterator[bytes]:
            crc = 0
            while True:
                with readable(path):
                    block = file.read(CHUNK)
                if not block:
                    break
                crc = crc64nvme(block, crc)
                yield block
                if sent:
                    sent(len(block))
            if crc != known.crc64nvme:
                raise changed(path)

        with readable(path):
            file = path.open("rb")
        with file:
            return self._put(key, blocks(file), _link)

    def copy(self, source: str, target: str, *, tag: str = "") -> None:
        """Copy an object over what is there."""
        self._put(target, self.stream(source, tag=tag), _rename)

    def find_all(self, keys: Sequence[str]) -> Iterator[Entry | None]:
        """Yield an entry for each object."""
        return map(self.find, keys)

    def read_all(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """Yield the bytes of each object that is small."""
        for key, found in zip(keys, map(self.find, keys), strict=True):
            yield self.read(key) if found and found.size <= SMALL else None

    def upload_all(self, blobs: Iterable[Blob]) -> Iterator[Blob]:
        """Copy each file in unless its key is taken, several at a time; yield those that were written."""

        def upload(blob: Blob) -> tuple[Blob, bool]:
            if blob.content is None:
                return blob, self.upload(blob.key, blob.path, sums=blob.sums)
            return blob, self.size(blob.key) is None and self.create(blob.key, blob.content)

        with ThreadPoolExecutor(PARALLEL) as pool:
            yield from (blob for blob, written in ahead(pool, upload, blobs, PARALLEL) if written)

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> Iterator[bool]:
        """Copy each object over what is there."""

        def copied(pair: tuple[str, str]) -> bool:
            with contextlib.suppress(NotFound):
                self.copy(*pair)
                return True
            return False

        with ThreadPoolExecutor(PARALLEL) as pool:
            yield from ahead(pool, copied, pairs, PARALLEL)

    def delete(self, key: str) -> None:
        """Remove an object."""
        path = self._path(key)
        with explained(self.url, key), contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.lstat()  # a store that is not there is not made to delete from it
            with self._locked():
                path.unlink()
                for parent in path.parents:  # what stands empty would be in the way of a key of that name
                    if parent == self.root or any(parent.iterdir()):
                        break
                    parent.rmdir()

    def abandon(self, prefix: str, before: float) -> int:  # noqa: ARG002 - what dead writers left goes at the next write
        """End no uploads: those of dead writers are swept away by the next write."""
        return 0

    def _put(self, key: str, blocks: Iterable[bytes], publish: Callable[[Path, Path], bool]) -> bool:
        """Write the blocks beside the objects, then give them their place; say whether that was done."""
        path = self._path(key)
        with explained(self.url, key), self._temporary() as (file, temporary):
            for block in blocks:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o644)
            with self._locked():
                path.parent.mkdir(parents=True, exist_ok=True)
                return publish(temporary, path)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[BinaryIO, Path]]:
        place = self._place()
        while True:
            handle, name = tempfile.mkstemp(dir=place)
            with os.fdopen(handle, "wb") as file, contextlib.ExitStack() as cleanup:
                cleanup.callback(Path(name).unlink, missing_ok=True)
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(handle).st_nlink:  # nobody swept it away before it was locked
                    yield file, Path(name)
                    return

    def _place(self) -> Path:
        """Make the directory of what is not whole yet; the first time, remove what dead writers left there."""
        place = self.root / TEMPORARY
        place.mkdir(parents=True, exist_ok=True)
        if not self._swept:
            self._swept = True
            for path in place.iterdir():
                if path.name == LOCK:
                    continue
                with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
        return place

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._place() / LOCK).open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _path(self, key: str) -> Path:
        check_key(key)
        return self.root / key

    def _absent(self, key: str) -> str:
        if not self.root.is_dir():
            return f"the store {self.url} is not there (wanted: {key}); check the address"
        return f"the store {self.url} has no {key}; check the address, or make it first"


def _tag(found: os.stat_result) -> str:
    """Return what changes with an object: another one is another file, as objects get their places by renames."""
    return f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"


def _rename(temporary: Path, path: Path) -> bool:
    temporary.replace(path)
    return True


def _link(temporary: Path, path: Path) -> bool:
    """Put the file in its place unless that is taken: a hard link, unlike a rename, fails there."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        if path.is_dir():
            raise
        return False
    return True


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
