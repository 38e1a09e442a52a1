"""A store in a directory, with the same promises as a bucket: rename makes an object appear whole."""

import contextlib
import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from colchis_steps._step import InputError
from colchis_steps._store import Conflict, NotFound

TEMPORARY = ".incomplete-"
CHUNK = 1 << 20


class FileStore:
    """Objects are files below ``root``; the entity tag is the sha256 of the content."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.as_uri()

    def read(self, key: str) -> bytes:
        """Give an object's bytes."""
        return b"".join(self.stream(key))

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """Give an object's bytes and tag."""
        content = self.read(key)
        return content, hashlib.sha256(content).hexdigest()

    def stream(self, key: str, chunk: int = CHUNK) -> Iterator[bytes]:
        """Give an object's bytes in chunks."""
        with self._explained(key), self._path(key).open("rb") as file:
            while block := file.read(chunk):
                yield block

    def size(self, key: str) -> int | None:
        """Give an object's size, or None."""
        with self._explained(key):
            path = self._path(key)
            return path.stat().st_size if path.is_file() else None

    def keys(self, prefix: str) -> Iterator[str]:
        """Give each key that begins with the prefix, in order."""
        top = self._path(prefix.rpartition("/")[0]) if "/" in prefix else self.root
        found = []
        for directory, _, names in os.walk(top):
            relative = Path(directory).relative_to(self.root)
            found += [(relative / name).as_posix() for name in names if not name.startswith(TEMPORARY)]
        yield from sorted(key for key in found if key.startswith(prefix))

    def write(self, key: str, content: bytes) -> None:
        """Write an object, over what is there."""
        self._put(key, [content], Path.replace)

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless the key is taken."""
        return self._create(key, [content])

    def replace(self, key: str, content: bytes, tag: str | None) -> None:
        """Write over the object that has this tag."""
        with self._explained(key), self._locked(key):
            try:
                found = self.read_tagged(key)[1]
            except NotFound:
                found = None
            if found != tag:
                raise Conflict(key)
            self.write(key, content)

    def upload(self, key: str, path: Path, sent: Callable[[int], object] | None = None) -> bool:
        """Copy a file in unless the key is taken."""

        def blocks() -> Iterator[bytes]:
            with path.open("rb") as file:
                while block := file.read(CHUNK):
                    yield block
                    if sent:
                        sent(len(block))

        return self.size(key) is None and self._create(key, blocks())

    def delete(self, key: str) -> None:
        """Remove an object."""
        with self._explained(key):
            self._path(key).unlink(missing_ok=True)

    def _create(self, key: str, blocks: Iterable[bytes]) -> bool:
        try:  # a hard link, unlike a rename, fails where the name is taken
            self._put(key, blocks, lambda temporary, path: path.hardlink_to(temporary))
        except FileExistsError:
            return False
        return True

    def _put(self, key: str, blocks: Iterable[bytes], publish: Callable[[Path, Path], object]) -> None:
        path = self._path(key)
        with self._explained(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)
            temporary = Path(name)
            try:
                with os.fdopen(handle, "wb") as file:
                    for block in blocks:
                        file.write(block)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.chmod(0o644)
                publish(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / f"{TEMPORARY}lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if key.startswith("/") or ".." in parts:
            raise InputError(f"key {key!r} leaves the store; give one without '..' that does not begin with '/'")
        return self.root.joinpath(*parts)

    @contextlib.contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFound(f"the store {self.url} has no {key}; check the address, or make it first") from error
        except PermissionError as error:
            raise InputError(f"no permission to use {key} in {self.url}; give this user the right") from error
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise InputError(f"the store {self.url} is full; free space there, or give another store") from error
            if error.errno == errno.EROFS:
                raise InputError(f"the store {self.url} is read-only; give one that can be written") from error
            raise
