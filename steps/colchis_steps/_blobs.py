"""A model's files as content-addressed blobs: equal files are stored once, and a blob is there whole or not at all."""

import hashlib
import itertools
import logging
import os
import stat
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from colchis_steps._formats import File
from colchis_steps._step import InputError, TransientError
from colchis_steps._store import Entry, NotFound, Store, check_key
from colchis_steps._sums import Sums, changed, encoded, read_sums

PARALLEL = 8  # files in flight; hashing and sending release the interpreter's lock
GROUPS = 256  # of files; those of one go one after the other
ASK_FIRST = 1 << 20  # bytes from which it is asked whether a blob is there before it is sent
YOUNG = 24 * 3600  # seconds; a blob that is found older is made young again, so that gc takes it for one just written
Moved = Callable[[int], object]  # is told of bytes as they go, one call at a time
T = TypeVar("T")
R = TypeVar("R")
log = logging.getLogger("colchis")


class _Stopped(Exception):  # noqa: N818 - never leaves this module
    """Another file met an error, or the step was asked to stop."""


def blob_key(sha256: str) -> str:
    """Give the key of the blob with this digest (hex)."""
    return f"blobs/sha256/{sha256}"


def survey(directory: Path) -> dict[str, Sums]:
    """Read the directory's files once for their digests; give them by path, sorted.

    Raises:
        InputError: as ``plain_files`` and ``check_paths`` do, or a file changes meanwhile.
    """
    paths = plain_files(directory)
    keys = [path.relative_to(directory).as_posix() for path in paths]
    check_paths(keys)
    found = each(lambda group, _: [read_sums(path) for path in group], _groups(paths))
    return dict(sorted(zip(keys, itertools.chain.from_iterable(found), strict=True)))


def plain_files(directory: Path) -> list[Path]:
    """List the directory's files.

    Raises:
        InputError: it is no directory, is empty, cannot be read, or holds a link or a special file.
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
                paths.append(path)
    if not paths:
        raise InputError(f"{directory} holds no files; give the directory that holds the model")
    return paths


def files_of(found: Mapping[str, Sums]) -> list[File]:
    """Give the files as manifests list them."""
    return [File(path=path, size=sums.size, sha256=sums.sha256) for path, sums in found.items()]


def scan(directory: Path) -> list[File]:
    """List the directory's files, hashed and sorted by path; raises as ``survey`` does."""
    return files_of(survey(directory))


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


def store_files(
    store: Store,
    directory: Path,
    files: Sequence[File],
    moved: Moved | None = None,
    known: Mapping[str, Sums] | None = None,
) -> int:
    """Store the directory's files as blobs, each verified; give the bytes sent. Safe to run again.

    Args:
        store: where to.
        directory: where from.
        files: as ``scan`` lists them.
        moved: is told of each blob's bytes, those that were there already too.
        known: what ``survey`` gave; a file that it lacks is read once more.

    Raises:
        InputError: a file is not what it was when it was listed; it is named.
    """
    there = False  # whether the last blob was: then the next one is likely to be, and asking costs less than sending

    def store_one(file: File, tell: Moved) -> int:
        nonlocal there
        path, key, sent = directory / file.path, blob_key(file.sha256), 0
        sums = (known or {}).get(file.path) or read_sums(path)
        if sums.sha256 != file.sha256:
            raise changed(path)

        def count(size: int) -> None:
            nonlocal sent
            sent += size
            tell(size)

        for _ in range(3):
            found = store.find(key) if there or file.size >= ASK_FIRST else None
            if not found and store.upload(key, path, count, sums):
                there = False
                break
            there = True
            if (found := found or store.find(key)) and _is_whole(store, file, sums, found):
                if found.modified < time.time() - YOUNG:
                    store.copy(key, key)
                break
            log.warning("blob %s in %s is altered: it is stored again", file.sha256, store.url)
            store.delete(key)
        else:
            raise TransientError(f"others keep writing {key} in {store.url}; try again")
        tell(max(0, file.size - sent))
        return sent

    groups = _groups(list({file.sha256: file for file in files}.values()))
    return sum(each(lambda group, tell: sum(store_one(file, tell) for file in group), groups, moved))


def _is_whole(store: Store, file: File, sums: Sums, found: Entry) -> bool:
    """Tell whether a blob that is there is what its name says: by the store's own checksum, else by reading it."""
    if found.size == file.size and not found.crc64nvme:
        return digest_of(store, file, lambda _: None) == (file.size, file.sha256)
    return (found.size, found.crc64nvme) == (file.size, encoded(sums.crc64nvme))


def check_files(store: Store, files: Sequence[File], moved: Moved | None = None) -> None:
    """Read each blob and hold it against its size and digest.

    Raises:
        InputError: a blob is missing or altered; it is named.
    """

    def check_one(file: File, tell: Moved) -> None:
        hold(store, file, *digest_of(store, file, tell))

    each(check_one, {file.sha256: file for file in files}.values(), moved)


def digest_of(store: Store, file: File, tell: Moved) -> tuple[int, str]:
    """Read a blob for its size and sha256.

    Raises:
        InputError: it is missing; it is named.
    """
    digest, size = hashlib.sha256(), 0
    try:
        for block in store.stream(blob_key(file.sha256)):
            digest.update(block)
            size += len(block)
            tell(len(block))
    except NotFound as error:
        raise missing(store, file) from error
    return size, digest.hexdigest()


def missing(store: Store, file: File) -> NotFound:
    """Give the error about a blob that is not there."""
    what = f"blob {file.sha256} of {file.path} is missing in {store.url}"
    return NotFound(f"{what}; train or upload the model again")


def altered(store: Store, file: File, how: str) -> InputError:
    """Give the error about a blob that is not what its name says."""
    what = f"blob {file.sha256} of {file.path} in {store.url} is altered ({how})"
    return InputError(f"{what}; remove {blob_key(file.sha256)} and store the model again")


def hold(store: Store, file: File, size: int, sha256: str) -> None:
    """Refuse bytes that are not the file's.

    Raises:
        InputError: they are not; the blob is named.
    """
    if (size, sha256) != (file.size, file.sha256):
        raise altered(store, file, f"{size} bytes, sha256 {sha256}")


def _groups(items: Sequence[T]) -> list[Sequence[T]]:
    """Take many items together, so that handing them to threads costs less than what is done with them."""
    some = len(items) // GROUPS + 1
    return [items[start : start + some] for start in range(0, len(items), some)]


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
