"""A model's files as content-addressed blobs: equal files are stored once, and a blob is there whole or not at all."""

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from colchis_steps._formats import File
from colchis_steps._step import InputError
from colchis_steps._store import Store

CHUNK = 1 << 20
PARALLEL = 4  # files in flight; hashing and sending release the interpreter's lock


def blob_key(sha256: str) -> str:
    """Give the key of the blob with this digest (hex)."""
    return f"blobs/sha256/{sha256}"


def scan(directory: Path) -> list[File]:
    """List the directory's files, hashed and sorted by path.

    Raises:
        InputError: it is no directory, is empty, or holds a link or a special file.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory; give the one that holds the model's files")
    paths = []
    for top, directories, names in os.walk(directory):
        for name in sorted([*directories, *names]):
            path = Path(top, name)
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise InputError(f"{path} is a link or a special file; a model holds plain files only, so copy it in")
            if stat.S_ISREG(mode):
                paths.append(path)
    if not paths:
        raise InputError(f"{directory} holds no files; give the directory that holds the model")
    with ThreadPoolExecutor(PARALLEL) as pool:
        files = pool.map(lambda path: _hashed(path, path.relative_to(directory).as_posix()), paths)
        return sorted(files, key=lambda file: file.path)


def _hashed(path: Path, name: str) -> File:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return File(path=name, size=file.tell(), sha256=digest)


def store_files(
    store: Store, directory: Path, files: Sequence[File], sent: Callable[[int], object] | None = None
) -> int:
    """Store the directory's files as blobs; give the bytes that were not there before. Safe to run again."""

    def store_one(file: File) -> int:
        return file.size if store.upload(blob_key(file.sha256), directory / file.path, sent) else 0

    with ThreadPoolExecutor(PARALLEL) as pool:
        return sum(pool.map(store_one, files))


def fetch_files(store: Store, files: Sequence[File], directory: Path) -> None:
    """Write the files below the directory, each verified.

    Raises:
        InputError: a blob is missing or altered; it is named, and nothing of it is written.
    """

    def fetch_one(file: File) -> None:
        path = directory / file.path
        if not path.resolve().is_relative_to(directory.resolve()):
            raise InputError(f"the model's file {file.path!r} leaves its directory; do not use this manifest")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, digest = path.with_name(f".{path.name}.incomplete"), hashlib.sha256()
        try:
            with temporary.open("wb") as out:
                for block in store.stream(blob_key(file.sha256)):
                    digest.update(block)
                    out.write(block)
            if digest.hexdigest() != file.sha256:
                raise InputError(f"blob {file.sha256} of {file.path} in {store.url} is altered; upload the model again")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(fetch_one, files))
