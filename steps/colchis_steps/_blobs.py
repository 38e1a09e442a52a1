"""A model's files as content-addressed blobs: equal files are stored once, and a blob is there whole or not at all."""

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from colchis_steps._formats import File
from colchis_steps._step import InputError
from colchis_steps._store import NotFound, Store, check_key, readable

PARALLEL = 4  # files in flight; hashing and sending release the interpreter's lock
Moved = Callable[[int], object]  # is told of bytes as they go, one call at a time
T = TypeVar("T")
R = TypeVar("R")


class _Stopped(Exception):  # noqa: N818 - never leaves this module
    """Another file met an error, or the step was asked to stop."""


def blob_key(sha256: str) -> str:
    """Give the key of the blob with this digest (hex)."""
    return f"blobs/sha256/{sha256}"


def scan(directory: Path) -> list[File]:
    """List the directory's files, hashed and sorted by path. Raises as ``plain_files``."""
    paths = plain_files(directory)
    files = _each(lambda path, _: _hashed(path, path.relative_to(directory).as_posix()), paths)
    return sorted(files, key=lambda file: file.path)


def plain_files(directory: Path) -> list[Path]:
    """List the directory's files.

    Raises:
        InputError: it is no directory, is empty, cannot be read, or holds a link, a special file or an odd name.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory; give the one that holds the model's files")
    paths = []
    for top, directories, names in os.walk(directory, onerror=_unreadable):
        for name in [*directories, *names]:
            path = Path(top, name)
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise InputError(f"{path} is a link or a special file; a model holds plain files only, so copy it in")
            if stat.S_ISREG(mode):
                check_key(path.relative_to(directory).as_posix())
                paths.append(path)
    if not paths:
        raise InputError(f"{directory} holds no files; give the directory that holds the model")
    return paths


def store_files(store: Store, directory: Path, files: Sequence[File], moved: Moved | None = None) -> int:
    """Store the directory's files as blobs; give the bytes sent. Safe to run again.

    ``moved`` is told of each blob's bytes, those that were there already too.
    """

    def store_one(file: File, tell: Moved) -> int:
        key, sent = blob_key(file.sha256), 0

        def count(size: int) -> None:
            nonlocal sent
            sent += size
            tell(size)

        if store.size(key) not in {None, file.size}:  # what has another size is not this blob, whatever its name says
            store.delete(key)
        store.upload(key, directory / file.path, count)
        tell(max(0, file.size - sent))
        return sent

    return sum(_each(store_one, {file.sha256: file for file in files}.values(), moved))


def check_files(store: Store, files: Sequence[File], moved: Moved | None = None) -> None:
    """Read each blob and hold it against its size and digest.

    Raises:
        InputError: a blob is missing or altered; it is named.
    """

    def check_one(file: File, tell: Moved) -> None:
        digest, size = hashlib.sha256(), 0
        for block in _blocks(store, file):
            digest.update(block)
            size += len(block)
            tell(len(block))
        _hold(store, file, size, digest.hexdigest())

    _each(check_one, {file.sha256: file for file in files}.values(), moved)


def fetch_files(store: Store, files: Sequence[File], directory: Path) -> None:
    """Write the files below the directory, each verified.

    Raises:
        InputError: a blob is missing or altered; it is named, and nothing of it is written.
    """

    def fetch_one(file: File, tell: Moved) -> None:
        check_key(file.path)
        path = directory / file.path
        if not path.resolve().is_relative_to(directory.resolve()):
            raise InputError(f"the model's file {file.path!r} leaves its directory; do not use this manifest")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, digest = path.with_name(f".{path.name}.incomplete"), hashlib.sha256()
        try:
            with temporary.open("wb") as out:
                for block in _blocks(store, file):
                    digest.update(block)
                    out.write(block)
                    tell(len(block))
                _hold(store, file, out.tell(), digest.hexdigest())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    _each(fetch_one, files)


def _blocks(store: Store, file: File) -> Iterable[bytes]:
    try:
        yield from store.stream(blob_key(file.sha256))
    except NotFound as error:
        what = f"blob {file.sha256} of {file.path} is missing in {store.url}"
        raise InputError(f"{what}; train or upload the model again") from error


def _hold(store: Store, file: File, size: int, sha256: str) -> None:
    if (size, sha256) != (file.size, file.sha256):
        what = f"blob {file.sha256} of {file.path} in {store.url} is altered ({size} bytes, sha256 {sha256})"
        raise InputError(f"{what}; remove {blob_key(file.sha256)} and store the model again")


def _hashed(path: Path, name: str) -> File:
    with readable(path), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return File(path=name, size=file.tell(), sha256=digest)


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be read ({error.strerror}); give this user the right") from error


def _each(work: Callable[[T, Moved], R], items: Iterable[T], moved: Moved | None = None) -> list[R]:
    """Do the work on each item in parallel; the first error, or a signal, stops the others at their next block."""
    stop, lock = threading.Event(), threading.Lock()

    def tell(size: int) -> None:
        if stop.is_set():
            raise _Stopped
        if moved:
            with lock:
                moved(size)

    with ThreadPoolExecutor(PARALLEL) as pool:
        futures = [pool.submit(work, item, tell) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise
    return [future.result() for future in futures]
