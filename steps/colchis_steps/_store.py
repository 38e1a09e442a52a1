"""The store: one bucket prefix or directory that holds data, runs, blobs and models.

``open_store`` gives a ``Store`` for ``s3://bucket/prefix`` or ``file:///directory``. Both keep the same promise: an
object is there whole or not at all, ``create`` never overwrites, ``replace`` only what the caller has read.
"""

import argparse
import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from colchis_steps._formats import D, Part, StepResult, decode, encode, now
from colchis_steps._step import InputError, StepError

if TYPE_CHECKING:
    from colchis_steps._sums import Sums

CHUNK = 1 << 20
SMALL = 64 << 10  # bytes of an object of which many are on their way at a time
ODD = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")  # what no key holds
TEMPORARY = ".incomplete"  # no part of a key begins so: the file store keeps there what is not whole yet


class NotFound(InputError):  # noqa: N818 - reads as what it says
    """No object has this key."""


class Conflict(Exception):  # noqa: N818 - callers handle it; it never reaches a user
    """Another writer was faster: read again and decide anew."""


class Entry(NamedTuple):
    """An object as the store tells of it without reading it."""

    key: str
    size: int
    modified: float  # seconds since 1970
    crc64nvme: str = ""  # of all bytes, in base64; empty in a listing, and where the store keeps none


class Blob(NamedTuple):
    """A file that is to be stored under a key; ``sums`` are its own, ``content`` its bytes where they are at hand."""

    key: str
    path: Path
    sums: "Sums"
    content: bytes | None = None


class Store(Protocol):
    """Objects by key. Keys are relative, with ``/`` between their parts; ``check_key`` says which ones do.

    The methods with ``all`` are a fast way for many objects of at most SMALL bytes, several at a time, done as their
    answers are taken, in order. None, False or absence stand for what did not go this way, for whatever reason: the
    method for one object does it, or says why not.
    Every method raises InputError where bucket, directory, credentials or space are wrong, and TransientError where
    the store is away; both sentences name the store and the fix.
    """

    url: str

    @property
    def atomic(self) -> bool | None:
        """Whether conditions hold against other writers; None until the first ``create``."""

    def read(self, key: str) -> bytes:
        """Give an object's bytes. Raises NotFound."""

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """Give an object's bytes and the entity tag that ``replace`` takes. Raises NotFound."""

    def stream(self, key: str, chunk: int = CHUNK, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Give an object's bytes, or those from ``start`` to before ``end``, in chunks. Raises NotFound."""

    def find(self, key: str) -> Entry | None:
        """Tell of an object, or give None where there is none."""

    def size(self, key: str) -> int | None:
        """Give an object's size, or None where there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Give each key that begins with the prefix, in order."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Give each object whose key begins with the prefix, in order."""

    def write(self, key: str, content: bytes) -> None:
        """Write an object, over what is there."""

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless the key is taken; say whether it was written."""

    def replace(self, key: str, content: bytes, tag: str | None) -> None:
        """Write over the object that has this tag; None means that there is none. Raises Conflict."""

    def upload(
        self, key: str, path: Path, sent: Callable[[int], object] | None = None, sums: "Sums | None" = None
    ) -> bool:
        """Send a file unless the key is taken; call ``sent`` with bytes as they go; say whether it was written.

        ``sums`` are those of the file, which is read for them otherwise. What is stored then has them.
        Raises InputError where the file is not what it was when they were read.
        """

    def copy(self, source: str, target: str) -> None:
        """Copy an object over what is there; onto itself it becomes as new as one just written. Raises NotFound."""

    def find_all(self, keys: Sequence[str]) -> Iterator[Entry | None]:
        """Tell of each object."""

    def read_all(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """Give each object's bytes."""

    def upload_all(self, blobs: Iterable[Blob]) -> Iterator[Blob]:
        """Send each file, taken as there is room, unless its key is taken; give those that were written."""

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> Iterator[bool]:
        """Copy from the first key of each pair to the second; say whether that was done."""

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def abandon(self, prefix: str, before: float) -> int:
        """End uploads that were begun before that time and not finished; give how many."""


def model_name(text: str) -> str:
    """Parse a model's name: a DNS label of at most 40 characters, as hosts and resources are named after it."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no model name; use 1 to 40 lower case letters, digits and '-', with no '-' at either end"
        )
    return text


def model_version(text: str) -> tuple[str, int | None]:
    """Parse MODEL or MODEL:N; without a number the version is None."""
    name, colon, number = text.partition(":")
    if colon and not (number.isascii() and number.isdecimal() and int(number)):
        raise argparse.ArgumentTypeError(f"{text!r} is neither MODEL nor MODEL:N")
    return model_name(name), int(number) if colon else None


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
        raise InputError(f"{key[:256]!r} is no key of a store; give a relative path of plain names, without '..'")


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Tell an error on the way out of a local file from the store's own."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a file that this user can read") from error


def open_store(url: str) -> Store:
    """Open the store at ``s3://bucket/prefix`` or ``file:///directory``.

    Raises:
        InputError: the URL is of another form.
    """
    parts = urlsplit(url)
    plain = "?" not in url and "#" not in url  # a path that has these writes them as %3F and %23
    if plain and parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        from colchis_steps._file_store import FileStore

        return FileStore(Path(unquote(parts.path)))
    if plain and parts.scheme == "s3" and parts.netloc:
        from colchis_steps._s3_store import S3Store

        return S3Store(parts.netloc, parts.path.strip("/"))
    raise InputError(f"{url!r} is no store; give s3://bucket/prefix or file:///absolute/directory")


def read_document(store: Store, key: str, kind: type[D]) -> D:
    """Read a document of the kind. Raises NotFound, or InputError where it is of another kind."""
    return decode(kind, store.read(key), f"{store.url}/{key}")


def find_document(store: Store, key: str, kind: type[D]) -> D | None:
    """Read a document of the kind, or give None where there is none."""
    try:
        return read_document(store, key, kind)
    except NotFound:
        return None


class Recorder:
    """What a step tells of itself while it runs."""

    def __init__(self) -> None:
        self.outputs: dict[str, str] = {}
        self.verdict = ""
        self.details: Part | None = None
        self.message = ""


@contextlib.contextmanager
def recorded(store: Store, run: str, step: str, inputs: Mapping[str, Any]) -> Iterator[Recorder]:
    """Write ``runs/<run>/<step>.json`` when the step begins and when it ends, failed or not.

    A step that ends without its last record was killed: the record says "running".
    """
    recorder, key, started, clock = Recorder(), f"runs/{run}/{step}.json", now(), time.monotonic()
    told = {name.replace("_", "-"): str(value) for name, value in inputs.items() if value is not None}

    def write(status: str, message: str = "") -> None:
        details: dict[str, Any] = msgspec.to_builtins(recorder.details) if recorder.details else {}
        store.write(
            key,
            encode(
                StepResult(
                    step=step,
                    run=run,
                    status=status,
                    message=message or recorder.message,
                    inputs=told,
                    outputs=recorder.outputs,
                    verdict=recorder.verdict,
                    started_at=started,
                    finished_at="" if status == "running" else now(),
                    seconds=round(time.monotonic() - clock, 3),
                    details=details,
                )
            ),
        )

    write("running")
    try:
        yield recorder
    except BaseException as error:
        with contextlib.suppress(StepError):  # the step's own error is the one to tell
            write("failed", str(error) if isinstance(error, StepError) else f"{type(error).__name__}: {error}"[:256])
        raise
    write("succeeded")
