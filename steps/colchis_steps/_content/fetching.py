"""A model's files from the store to a directory: verified, in parallel ranges, on where an earlier attempt stopped."""

import fcntl
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

from colchis_steps._content.blobs import Moved, altered, check_paths, contents, each, hold, missing, size_of, together
from colchis_steps._formats.keys import blob_key
from colchis_steps._formats.models import File
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.ahead import ahead
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.sums import CHUNK, read_sums

RANGE = 4 << 20  # bytes of a range
AHEAD = 4  # ranges of a file that are in memory or on their way


def fetch_files(store: Objects, files: Sequence[File], directory: Path, moved: Moved | None = None) -> None:
    """Write the files below the directory, each verified; what is there already is not fetched again.

    A file appears under its name whole. What a killed attempt had of it, beside it, is kept for the next.

    Raises:
        InputError: a blob is missing or altered, or a path is none; it is named, and nothing of it is written.
    """
    check_paths(file.path for file in files)

    def is_there(file: File) -> bool:
        path = directory / file.path
        if not path.resolve().is_relative_to(directory.resolve()):
            raise InputError(f"the model's file {file.path!r} leaves its directory; do not use this manifest")
        return path.is_file() and path.stat().st_size == file.size and read_sums(path).sha256 == file.sha256

    def fetch_group(group: Sequence[File], tell: Moved) -> None:
        wanted = [file for file in group if not is_there(file)]
        tell(sum(map(size_of, group)) - sum(map(size_of, wanted)))
        for file, content in zip(wanted, contents(store, wanted), strict=True):
            path = directory / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = _beside(path, file)
            _complete(store, file, temporary, partial(_blocks, store, threads, file, content), tell)
            temporary.replace(path)

    with ThreadPoolExecutor(2 * AHEAD, "range") as threads:
        try:
            each(fetch_group, together(files, size_of), moved)
        except InputError:  # nobody goes on from here
            for file in files:
                _beside(directory / file.path, file).unlink(missing_ok=True)
            raise


def _beside(path: Path, file: File) -> Path:
    """Return the place of what is not whole yet: a short name, as the file's own may have all of 255 bytes."""
    return path.with_name(f".{hashlib.sha256(f'{file.path} {file.sha256}'.encode()).hexdigest()[:16]}.incomplete")


def _complete(
    store: Objects, file: File, temporary: Path, blocks: Callable[[int], Iterator[bytes]], tell: Moved
) -> None:
    """Fetch what the temporary file lacks; where the whole is not the file, its beginning is of no use: once more."""
    for anew in (False, True):
        with temporary.open("a+b") as out:
            try:
                fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TransientError(f"another process fetches {file.path} to the same place; wait for it") from error
            if anew:
                out.truncate(0)
            out.seek(0)
            digest, kept = hashlib.sha256(), 0
            while block := out.read(CHUNK):
                digest.update(block)
                kept += len(block)
                tell(len(block))
            try:
                for block in blocks(kept):
                    digest.update(block)
                    out.write(block)
                    tell(len(block))
            except NotFound as error:
                raise missing(store, file) from error
            size = out.tell()
        if (size, digest.hexdigest()) == (file.size, file.sha256):
            return
        if not kept:
            break
    hold(store, file, size, digest.hexdigest())


def _blocks(
    store: Objects, threads: ThreadPoolExecutor, file: File, content: bytes | None, start: int
) -> Iterator[bytes]:
    """Yield the blob's bytes from ``start``, in order: its content, or from the store, a large one's ranges ahead."""
    if content is not None:
        yield content[start:]
        return
    key = blob_key(file.sha256)
    if file.size - start <= RANGE:
        if start < file.size or not start:
            yield from store.stream(key, CHUNK, start)
        return
    if (size := store.size(key)) != file.size:
        raise missing(store, file) if size is None else altered(store, file, f"{size} bytes in place of {file.size}")

    def fetch(offset: int) -> list[bytes]:
        return list(store.stream(key, CHUNK, offset, min(offset + RANGE, file.size)))

    yield from chain.from_iterable(ahead(threads, fetch, range(start, file.size, RANGE), AHEAD))
