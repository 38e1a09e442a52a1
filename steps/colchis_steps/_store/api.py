"""The store: one bucket prefix or directory that holds data, runs, blobs and models.

``open_store`` returns ``Objects`` for ``s3://bucket/prefix`` or ``file:///directory``. Both keep the same promise: an
object is there whole or not at all, ``create`` never overwrites, ``replace`` only what the caller has read.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from colchis_steps._step.errors import InputError
from colchis_steps._store.sums import CHUNK

if TYPE_CHECKING:
    from colchis_steps._store.sums import Sums


ODD = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")  # what no key holds
TEMPORARY = ".incomplete"  # no part of a key begins so: the file store keeps there what is not whole yet


class NotFound(InputError):  # noqa: N818 - reads as what it says
    """No object has this key."""


class TooLarge(InputError):  # noqa: N818 - as above
    """An object has more bytes than what it is read for can have."""


class Conflict(Exception):  # noqa: N818 - callers handle it; it never reaches a user
    """Another writer was faster: read again and decide anew."""


class Entry(NamedTuple):
    """An object as the store tells of it without reading it."""

    key: str
    size: int
    modified: float  # seconds since 1970
    crc64nvme: str = ""  # of all bytes, in base64; empty in a listing, and where the store keeps none
    tag: str = ""  # changes with the bytes; empty in a listing


class Blob(NamedTuple):
    """A file that is to be stored under a key; ``sums`` are its own, ``content`` its bytes where they are at hand."""

    key: str
    path: Path
    sums: "Sums"
    content: bytes | None = None


class Objects(Protocol):
    """Objects by key. Keys are relative, with ``/`` between their parts; ``check_key`` says which are good.

    Every method raises InputError where bucket, directory, credentials or space are wrong, and TransientError where
    the store is away; both sentences name the store and the fix.
    """

    url: str

    @property
    def atomic(self) -> bool | None:
        """Whether conditions hold against other writers; None until the first ``create``."""

    def read(self, key: str, most: int | None = None) -> bytes:
        """Return an object's bytes. Raises NotFound; TooLarge, before it reads, where they are more than ``most``."""

    def read_tagged(self, key: str, most: int | None = None) -> tuple[bytes, str]:
        """Return an object's bytes and the entity tag that ``replace`` takes. Raises as ``read``."""

    def stream(
        self, key: str, chunk: int = CHUNK, start: int = 0, end: int | None = None, *, tag: str = ""
    ) -> Iterator[bytes]:
        """Yield an object's bytes, or those from ``start`` to before ``end``, in chunks. Raises NotFound.

        With a ``tag``, that of its entry: only while the object has it. Raises Conflict.
        """

    def find(self, key: str) -> Entry | None:
        """Return an object's entry, or None where there is none."""

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes, or None where there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield each key that begins with the prefix, in order."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield each object whose key begins with the prefix, in order."""

    def write(self, key: str, content: bytes) -> None:
        """Write an object, over what is there."""

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless the key is taken; return whether it was written."""

    def replace(self, key: str, content: bytes, tag: str | None) -> None:
        """Write over the object that has this tag; None means that there is none. Raises Conflict."""

    def upload(
        self, key: str, path: Path, sent: Callable[[int], object] | None = None, sums: "Sums | None" = None
    ) -> bool:
        """Send a file unless the key is taken; call ``sent`` with bytes as they go; return whether it was written.

        ``sums`` are those of the file, which is read for them otherwise. What is stored then has them.
        Raises InputError where the file is not what it was when they were read.
        """

    def copy(self, source: str, target: str, *, tag: str = "") -> None:
        """Copy an object over what is there; onto itself it becomes as new as one just written. Raises NotFound.

        With a ``tag``, that of the source's entry: only while the source has it. Raises Conflict.
        """

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def abandon(self, prefix: str, before: float) -> int:
        """End uploads that were begun before that time and not finished; return how many."""


@runtime_checkable
class Bulk(Protocol):
    """Many objects of at most SMALL bytes at a time, for stores that can; ``bulk`` asks.

    Lazy fast path, results in order. None or False: not done; call the single-object method.
    """

    def find_all(self, keys: Sequence[str]) -> Iterator[Entry | None]:
        """Yield each object's entry."""

    def read_all(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """Yield each object's bytes."""

    def upload_all(self, blobs: Iterable[Blob]) -> Iterator[Blob]:
        """Send each file, taken as there is room, unless its key is taken; yield those that were written."""

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> Iterator[bool]:
        """Copy from the first key of each pair to the second; yield whether that was done."""


class _Singly:
    """The fast path of a store that has none: nothing is done."""

    def find_all(self, keys: Sequence[str]) -> Iterator[Entry | None]:
        """Yield None for each."""
        return iter([None] * len(keys))

    def read_all(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """Yield None for each."""
        return iter([None] * len(keys))

    def upload_all(self, blobs: Iterable[Blob]) -> Iterator[Blob]:
        """Take all, and yield none."""
        deque(blobs, 0)
        return iter(())

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> Iterator[bool]:
        """Yield False for each."""
        return iter([False] * len(pairs))


def bulk(store: Objects) -> Bulk:
    """Return the store's fast path for many small objects; where it has none, one that does nothing."""
    return store if isinstance(store, Bulk) else _Singly()


def check_size(key: str, url: str, size: int, most: int | None) -> None:
    """Raise TooLarge where an object has more than ``most`` bytes; None bounds nothing."""
    if most is not None and size > most:
        raise TooLarge(f"{key} in {url} has {size} bytes, and what belongs there has at most {most}; make it anew")


def check_key(key: str) -> None:
    """Refuse a key that is not good in every kind of store.

    Raises:
        InputError: it is empty or longer than 900 bytes, has an empty part, ``.``, ``..``, a part above 255 bytes or
            one that begins with ``.incomplete``, or holds a control character, a backslash or a lone surrogate.
    """
    bad = not 0 < len(key.encode(errors="replace")) <= 900 or bool(ODD.search(key))
    for part in key.split("/"):
        bad = bad or part in {"", ".", ".."} or part.startswith(TEMPORARY) or len(part.encode(errors="replace")) > 255
    if bad:
        raise InputError(f"{key[:256]!r} is not a key of a store; give a relative path of plain names, without '..'")
