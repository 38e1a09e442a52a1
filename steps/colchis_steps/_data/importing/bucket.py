"""Files of a bucket, by ranges of their bytes: with the keys, TLS and retries of the store."""

import io
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from colchis_steps._data.importing.files import WILD, File
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Entry, Objects
from colchis_steps._store.opening import open_store
from colchis_steps._store.ranges import ObjectFile

BUFFER = 4 << 20  # bytes of a request


def find(place: str) -> list[File]:
    """Return the objects at ``s3://bucket/key``, below it, or that match a pattern, by key.

    Raises:
        InputError: there are none, or the bucket cannot be read.
    """
    scheme, _, rest = place.partition("://")
    bucket, _, key = rest.partition("/")
    store = open_store(f"{scheme}://{bucket}")
    if key and not key.endswith("/") and not WILD.search(key) and (entry := store.find(key)):
        return [_file(store, entry, str(PurePosixPath(key).parent))]
    found = sorted(_matching(store, key))
    if not found:
        raise InputError(f"--from={place} names no object; correct the key, the prefix or the pattern")
    root = key.rstrip("/") if not WILD.search(key) else key[: WILD.search(key).start()].rpartition("/")[0]  # type: ignore[union-attr]
    return [_file(store, entry, root) for name in found if (entry := store.find(name))]


def _matching(store: Objects, key: str) -> Iterator[str]:
    wild = WILD.search(key)
    prefix = key[: wild.start()] if wild else f"{key.rstrip('/')}/" if key else ""
    pattern = re.compile(_expression(key)) if wild else None
    for name in store.keys(prefix):
        hidden = any(part[:1] in {".", "_"} for part in name.removeprefix(prefix).split("/"))
        if not name.endswith("/") and not hidden and (pattern is None or pattern.fullmatch(name)):
            yield name


def _expression(pattern: str) -> str:
    """Return a shell's pattern as a regular expression: ``*`` stays in a folder, ``**`` does not."""
    words = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        words.get(part) or (part if part.startswith("[") else re.escape(part))
        for part in re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    )


def _file(store: Objects, entry: Entry, root: str) -> File:
    def opened() -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(ObjectFile(store, entry.key, entry.size, entry.tag), BUFFER))

    def state() -> object:
        found = store.find(entry.key)
        return found and (found.size, found.tag)

    name = entry.key.removeprefix(root.strip(".")).lstrip("/")
    where = f"{store.url.rstrip('/')}/{entry.key}"
    return File(name, where, entry.size, opened, state, uri=where)
