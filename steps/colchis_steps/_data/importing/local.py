"""Files of this machine: one, those of a folder, or those that a pattern matches."""

import contextlib
import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from colchis_steps._data.importing.files import WILD, File
from colchis_steps._step.errors import InputError


def find(place: str) -> list[File]:
    """Return the files at a path, by name.

    Raises:
        InputError: there are none, or a link leads out of the folder.
    """
    path = Path(place)
    if path.is_dir():
        return [_file(found, path) for found in _below(path)]
    if path.exists():
        return [_file(path, path.parent, inside=False)]
    if wild := WILD.search(place):
        root = Path(f"{place[: wild.start()]}x").parent
        pattern = str(path.relative_to(root)) if root != Path() else place
        found = sorted(name for name in root.glob(pattern) if name.is_file())
        if shown := [name for name in found if not any(part[0] in "._" for part in name.relative_to(root).parts)]:
            return [_file(name, root) for name in shown]
        raise InputError(f"--from={place} matches no file; correct the pattern")
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, beside, 1)
    raise InputError(
        f"--from={place} is not there; " + (f"did you mean {close[0]!r}?" if close else "correct the path")
    )


def _below(root: Path) -> list[Path]:
    """Return the files below a folder, without hidden ones and those that Spark and others leave beside data."""
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        links = [name for name in folders if Path(folder, name).is_symlink()]  # which walk does not follow
        found += [Path(folder, name) for name in (*names, *links) if name[0] not in "._"]
    return sorted(found)


def _file(path: Path, root: Path, *, inside: bool = True) -> File:
    if inside and not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"{path} is a link that leads out of {root}; copy the file there, or name its own folder")
    if inside and path.is_dir():
        raise InputError(f"{path} is a link to a folder; name that folder itself")

    def state() -> tuple[int, int, int]:
        with _readable(path):
            found = path.stat()
        return found.st_size, found.st_mtime_ns, found.st_ino

    def opened() -> BinaryIO:
        with _readable(path):
            return path.open("rb")

    return File(path.relative_to(root).as_posix(), str(path), state()[0], opened, state, uri=path.resolve().as_uri())


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the right to, or leave it out") from error
