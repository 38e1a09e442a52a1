"""A model's files as content-addressed blobs: how they are listed, hashed, named and verified."""

import hashlib
import itertools
import os
import stat
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from colchis_steps._formats.keys import blob_key
from colchis_steps._formats.models import File
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects, bulk, check_key
from colchis_steps._store.sums import SMALL, Sums, read_sums

PARALLEL = 8  # groups of files in flight; hashing and sending release the interpreter's lock


Moved = Callable[[int], object]  # is told of bytes as they go, one call at a time


T = TypeVar("T")
R = TypeVar("R")


class _Stopped(Exception):  # noqa: N818 - never leaves this module
    """Another file met an error, or the step was asked to stop."""


def plain_files(directory: Path) -> dict[str, os.stat_result]:
    """List the directory's files by path, relative to it and sorted.

    Raises:
        InputError: it is not a directory, is empty, cannot be read, or holds a link or a special file.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory; give the one that holds the model's files")
    listed = {}
    for top, directories, names in os.walk(directory, onerror=_unreadable):
        within = top.removeprefix(str(directory)).strip("/")  # strings: a Path a file would be a third of the time
        for name in [*directories, *names]:
            path = f"{top}/{name}"
            found = os.lstat(path)
            if stat.S_ISREG(found.st_mode):
                listed[f"{within}/{name}" if within else name] = found
            elif not stat.S_ISDIR(found.st_mode):
                raise InputError(f"{path} is a link or a special file; a model holds plain files only, so copy it in")
    if not listed:
        raise InputError(f"{directory} holds no files; give the directory that holds the model")
    return dict(sorted(listed.items()))


def scan(directory: Path) -> list[File]:
    """List the directory's files, hashed and sorted by path.

    Raises:
        InputError: as ``plain_files`` and ``check_paths`` do, or a file changes meanwhile.
    """
    listed = plain_files(directory)
    check_paths(listed)

    def hashed(group: Sequence[str], _: Moved) -> list[File]:
        return [file_of(path, read_sums(directory / path)) for path in group]

    found = each(hashed, together(listed, lambda path: listed[path].st_size))
    return sorted(itertools.chain.from_iterable(found), key=lambda file: file.path)


def file_of(path: str, sums: Sums) -> File:
    """Return the file as manifests list it."""
    return File(path=path, size=sums.size, sha256=sums.sha256)


def check_paths(paths: Iterable[str]) -> None:
    """Refuse paths that are no plain relative names, or two that some file systems take for one.

    Raises:
        InputError: one is, and is named.
    """
    seen: dict[str, str] = {}
    for path in paths:
        check_key(path)
        folded = unicodedata.normalize("NFC", path.casefold())
        if seen.setdefault(folded, path) != path:
            raise InputError(
                f"{seen[folded]!r} and {path!r} are one file where case does not count; rename one of them"
            )


def check_files(store: Objects, files: Sequence[File], moved: Moved | None = None) -> None:
    """Read each blob and hold it against its size and digest.

    Raises:
        InputError: a blob is missing or altered; it is named.
    """

    def check(group: Sequence[File], tell: Moved) -> None:
        for file, found in zip(group, seen(store, group, tell), strict=True):
            if found is None:
                raise missing(store, file)
            hold(store, file, *found)

    each(check, together({file.sha256: file for file in files}.values(), size_of), moved)


def seen(store: Objects, files: Sequence[File], tell: Moved) -> Iterator[tuple[int, str] | None]:
    """Read each file's blob for its size and sha256; return None where it is missing."""
    for file, content in zip(files, contents(store, files), strict=True):
        if content is None:
            try:
                yield digest_of(store, blob_key(file.sha256), tell)
            except NotFound:
                yield None
        else:
            tell(len(content))
            yield len(content), hashlib.sha256(content).hexdigest()


def contents(store: Objects, files: Sequence[File]) -> Iterator[bytes | None]:
    """Return the bytes of each small file's blob; None for one that is to be read alone."""
    small = bulk(store).read_all([blob_key(file.sha256) for file in files if file.size <= SMALL])
    return (next(small) if file.size <= SMALL else None for file in files)


def digest_of(store: Objects, key: str, tell: Moved) -> tuple[int, str]:
    """Read an object for its size and sha256. Raises NotFound."""
    digest, size = hashlib.sha256(), 0
    for block in store.stream(key):
        digest.update(block)
        size += len(block)
        tell(len(block))
    return size, digest.hexdigest()


def missing(store: Objects, file: File) -> NotFound:
    """Return the error about a blob that is not there."""
    what = f"blob {file.sha256} of {file.path} is missing in {store.url}"
    return NotFound(f"{what}; train or upload the model again")


def altered(store: Objects, file: File, how: str) -> InputError:
    """Return the error about a blob that is not what its name says."""
    what = f"blob {file.sha256} of {file.path} in {store.url} is altered ({how})"
    return InputError(f"{what}; remove {blob_key(file.sha256)} and store the model again")


def hold(store: Objects, file: File, size: int, sha256: str) -> None:
    """Refuse bytes that are not the file's.

    Raises:
        InputError: they are not; the blob is named.
    """
    if (size, sha256) != (file.size, file.sha256):
        raise altered(store, file, f"{size} bytes, sha256 {sha256}")


def together(items: Iterable[T], size: Callable[[T], int]) -> list[list[T]]:
    """Group files for ``each``: all small ones, with which one thread is faster than many are, and each large one."""
    small, large = list[T](), list[list[T]]()
    for item in items:
        if size(item) <= SMALL:
            small.append(item)
        else:
            large.append([item])
    return [small, *large] if small else large


def size_of(file: File) -> int:
    """Return the file's size in bytes."""
    return file.size


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be read ({error.strerror}); give this user the right") from error


def each(work: Callable[[T, Moved], R], items: Iterable[T], moved: Moved | None = None) -> list[R]:
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
