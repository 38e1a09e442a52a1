"""A file that rows are read from, wherever it lies."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

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
WILD = re.compile(r"[*?\[]")
_STEM = re.compile(rf"({'|'.join(SPLITS)})([-_.]?[0-9].*)?", re.IGNORECASE)


@dataclass(frozen=True)
class File:
    """A file: ``name`` is relative to what was given. ``state`` changes where the bytes do."""

    name: str
    where: str  # what sentences call it
    size: int
    open: Callable[[], BinaryIO]
    state: Callable[[], object]
    split: str = ""  # where its name or its --from tells one
    uri: str = ""  # where it can be left, by a store's URL; empty where it cannot


def split_named(name: str) -> str:
    """Return the split that a path tells by a folder's name or its own; empty where it tells none."""
    path = PurePosixPath(name)
    told = [SPLITS[part.lower()] for part in path.parts[:-1] if part.lower() in SPLITS]
    stem = _STEM.fullmatch(path.name.partition(".")[0])
    return told[0] if told else SPLITS[stem[1].lower()] if stem else ""


def sha256_of(file: File, read: Callable[[int], object] = lambda _: None) -> str:
    """Return the sha256 of a file, hex; call ``read`` with the bytes of each piece."""
    digest = hashlib.sha256()
    for piece in _pieces(file):
        digest.update(piece)
        read(len(piece))
    return digest.hexdigest()


def _pieces(file: File, size: int = 1 << 20) -> Iterator[bytes]:
    with file.open() as content:
        while piece := content.read(size):
            yield piece
