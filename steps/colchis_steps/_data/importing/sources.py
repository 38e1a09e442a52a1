"""The files that ``--from`` names: found, opened, and held against what they were when they are read."""

import difflib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from colchis_steps._data.importing.request import Given
from colchis_steps._step.errors import InputError

SPLITS = {
    "train": "train",
    "training": "train",
    "eval": "eval",
    "evaluation": "eval",
    "val": "eval",
    "valid": "eval",
    "validation": "eval",
    "dev": "eval",
    "test": "test",
    "testing": "test",
}
_STEM = re.compile(rf"({'|'.join(SPLITS)})([-_.]?[0-9].*)?", re.IGNORECASE)
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class File:
    """A file: ``name`` is relative to what was given. ``state`` changes where the bytes do."""

    name: str
    where: str  # what sentences call it
    size: int
    open: Callable[[], BinaryIO]
    state: Callable[[], object]
    split: str = ""  # where its name or its --from tells one
    uri: str = ""


def split_named(name: str) -> str:
    """Return the split that a path tells by a folder's name or its own; empty where it tells none."""
    path = PurePosixPath(name)
    told = [SPLITS[part.lower()] for part in path.parts[:-1] if part.lower() in SPLITS]
    stem = _STEM.fullmatch(path.name.partition(".")[0])
    return told[0] if told else SPLITS[stem[1].lower()] if stem else ""


def find(given: Given) -> list[File]:
    """Return the files of a ``--from``, by name.

    Raises:
        InputError: there are none, or a link leads out of the folder.
    """
    scheme = urlsplit(given.place).scheme if "://" in given.place else ""
    if scheme in {"", "file"}:
        found = _local(unquote(urlsplit(given.place).path) if scheme else given.place)
    else:
        raise InputError(f"--from={given.place[:256]} is of no kind that is read; give a path, s3:// or https://")
    return [replace(file, split=given.split or split_named(file.name)) for file in found]


def _local(place: str) -> list[File]:
    path = Path(place)
    if path.is_dir():
        return [_file(found, path) for found in _below(path)]
    if path.exists():
        return [_file(path, path.parent, inside=False)]
    if wild := _WILD.search(place):
        root = Path(f"{place[: wild.start()]}x").parent
        pattern = str(Path(place).relative_to(root)) if root != Path() else place
        if found := sorted(path for path in root.glob(pattern) if path.is_file()):
            return [_file(name, root) for name in found]
        raise InputError(f"--from={place} matches no file; correct the pattern")
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, beside, 1)
    raise InputError(
        f"--from={place} is not there; " + (f"did you mean {close[0]!r}?" if close else "correct the path")
    )


def _below(root: Path) -> list[Path]:
    """Return the files below a folder, without hidden ones and those that Spark and others leave beside data."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        found += [Path(folder, name) for name in names if name[0] not in "._"]
    return sorted(found)


def _file(path: Path, root: Path, *, inside: bool = True) -> File:
    if inside and not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{path} is a link that leads out of {root}; copy the file there, or name its own folder")
    name = path.relative_to(root).as_posix()
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the right to, or leave it out") from error

    def state() -> tuple[int, int, int]:
        found = path.stat()
        return found.st_size, found.st_mtime_ns, found.st_ino

    def opened() -> BinaryIO:
        try:
            return path.open("rb")
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); give the right to, or leave it out") from error

    return File(name, str(path), size, opened, state, uri=path.resolve().as_uri())


def sha256_of(file: File, read: Callable[[int], object] = lambda _: None) -> str:
    """Return the sha256 of a file, hex; call ``read`` with the bytes of each piece."""
    digest = hashlib.sha256()
    for piece in pieces(file):
        digest.update(piece)
        read(len(piece))
    return digest.hexdigest()


def pieces(file: File, size: int = 1 << 20) -> Iterator[bytes]:
    """Yield a file's bytes."""
    with file.open() as content:
        while piece := content.read(size):
            yield piece
