"""What a model is adopted from: a file or a directory here, or in a bucket; what is needed of it is copied."""

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from colchis_steps._step.errors import InputError
from colchis_steps._step.progress import Progress
from colchis_steps._store.api import Objects, check_key
from colchis_steps._store.opening import open_store


@dataclass(frozen=True)
class Source:
    """A place, and the bytes of each file in it by its path; ``directory`` or ``store`` is where they lie."""

    uri: str
    files: dict[str, int]
    directory: Path | None = None
    store: Objects | None = None

    def copy(self, paths: Collection[str], target: Path) -> None:
        """Copy files to a directory, under their paths."""
        with Progress("fetch", sum(self.files[path] for path in paths)) as bar:
            for path in paths:
                check_key(path)
                to = target / path
                to.parent.mkdir(parents=True, exist_ok=True)
                if self.directory:
                    shutil.copyfile(self.directory / path, to)
                    bar.advance(self.files[path])
                elif self.store:
                    with to.open("wb") as out:
                        for block in self.store.stream(path):
                            out.write(block)
                            bar.advance(len(block))


def open_source(text: str) -> Source:
    """Return what is at a path, or at ``file://…`` or ``s3://bucket/key``: a file or a directory.

    Raises:
        InputError: there is nothing, or it is a URI of another kind.
    """
    if text.startswith("s3://"):
        return _in_bucket(text.rstrip("/"))
    if "://" in text and not text.startswith("file://"):
        raise InputError(
            f"{text[:128]!r} is neither a path nor of s3://; download the model first, and give its directory"
        )
    path = Path(unquote(urlsplit(text).path)) if text.startswith("file://") else Path(text)
    if path.is_file():
        return Source(str(path), {path.name: path.stat().st_size}, path.parent)
    if not path.is_dir():
        raise InputError(f"there is nothing at {text[:256]}; give the model's file, or the directory that holds it")
    found = {}
    for top, _, names in os.walk(path):
        for name in names:
            one = Path(top) / name
            if one.is_file():  # also by a link, as Hugging Face's cache has them
                found[one.relative_to(path).as_posix()] = one.stat().st_size
    return Source(str(path), found, path)


def _in_bucket(uri: str) -> Source:
    store = open_store(uri)
    if found := {entry.key: entry.size for entry in store.entries("")}:
        return Source(uri, found, store=store)
    top, _, name = uri.rpartition("/")
    if top.count("/") > 1 and (there := (above := open_store(top)).find(name)):
        return Source(uri, {name: there.size}, store=above)
    raise InputError(f"there is nothing at {uri}; give the model's object, or the prefix that it lies below")
