"""Documents of a data set: its manifest, the task that it is for, its columns, and the parts of its splits."""

import json
import re
from collections.abc import Mapping
from functools import cached_property

import msgspec

from colchis_steps._formats import data_v1
from colchis_steps._formats.documents import Document, Part, canonical_digest, decode

TASKS = ("classification", "multilabel", "regression", "sequence", "none")
ROLES = ("feature", "label", "weight", "group", "time", "key", "slice", "ignored")
WAYS = ("hash", "group", "time", "given")
DIGESTED = ("name", "task", "columns", "splits", "division", "schema", "parent")  # of a manifest's fields
RAGGED = -1  # in a shape: a length of its own in each row
_NUMPY = {"halffloat": "float16", "float": "float32", "double": "float64", "string": "str", "binary": "bytes"}


class Task(Part):
    """What a model of the data is to tell: the target's columns, and the names of its classes, in order.

    Of a classification the classes are the label's values in words, of a multilabel task the labels that a row may
    have; other tasks have none.
    """

    kind: str  # one of TASKS
    target: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


class Column(Part):
    """A column: ``type`` is Arrow's name of one value's type; ``shape`` is one row's, where RAGGED is any length.

    ``minimum`` and ``maximum`` are those of the numbers at import. ``longest`` is the greatest length of a ragged row.
    ``classes`` are of a label of numbers that count them from 0; other labels hold the names themselves.
    """

    name: str
    type: str
    shape: tuple[int, ...] = ()
    role: str = "feature"  # one of ROLES
    nullable: bool = False
    media: str = ""  # the media type of bytes, such as image/jpeg; image/* where there are several
    minimum: float | None = None
    maximum: float | None = None
    longest: int = 0
    classes: tuple[str, ...] | None = None

    @property
    def is_time(self) -> bool:
        """Whether it is a date, a time of day, a moment or a duration: int64 in the type's unit, to a model."""
        return self.type.startswith(("timestamp", "date", "time", "duration"))

    @property
    def dtype(self) -> str:
        """NumPy's name of what readers give: ``str`` for text, ``bytes`` for bytes, int64 for dates and times."""
        if self.is_time:
            return "int64"
        plain = self.type.removeprefix("large_").removesuffix("_view")
        return "float64" if self.type.startswith("decimal") else _NUMPY.get(plain, plain)


class Shard(Part):
    """A part of a split: a file beside the manifest, or one left in place, at ``uri``."""

    path: str
    rows: int
    size: int
    sha256: str
    format: str = "arrow"  # an IPC stream; or parquet, npz
    uri: str = ""


class Split(Part):
    """Rows of one use.

    The digest is the sha256 of the 64-bit hashes (little-endian) of its rows over all columns of its parts, in their
    order: the same rows have the same one in any release. It is empty where none was made.
    """

    rows: int
    digest: str
    parts: tuple[Shard, ...]


class Division(Part):
    """How rows were divided: ``by`` names the columns; a time split keeps ``gap`` (seconds, or units) between splits.

    ``cuts`` are the times at which eval and test begin, as numbers of the column.
    """

    way: str  # one of WAYS
    by: tuple[str, ...] = ()
    shares: dict[str, float] = msgspec.field(default_factory=dict)
    gap: float = 0.0
    cuts: tuple[float, ...] = ()


class Source(Part):
    """A file from which rows came: its name without the directory, size and sha256."""

    name: str
    size: int
    sha256: str


class Parent(Part):
    """The data set that a command made this one of: its digest, and that of the code."""

    data: str
    code: str
    command: str


class DataManifest(Document, tag="colchis.dev/data/v2", dict=True):
    """A data set: task, columns, splits (train, eval, test) and where it came from; written last, as manifest.json."""

    name: str
    digest: str  # of everything else here but ``sources`` and ``created_at``
    task: Task
    columns: tuple[Column, ...]
    splits: dict[str, Split]
    division: Division
    created_at: str
    schema: str = ""  # digest of the schema.yaml beside it, if there is one
    parent: Parent | None = None
    sources: tuple[Source, ...] = ()
    warnings: tuple[str, ...] = ()  # what was said at import

    @property
    def label(self) -> str:
        """The target's column, the first of several; empty where there is none."""
        return self.task.target[0] if self.task.target else ""

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    def of_role(self, *roles: str) -> tuple[Column, ...]:
        """Return the columns of these roles."""
        return tuple(column for column in self.columns if column.role in roles)


def data_digest(found: DataManifest) -> str:
    """Return the digest by which a data set is known."""
    return canonical_digest(msgspec.to_builtins({name: getattr(found, name) for name in DIGESTED}))


def decode_manifest(content: bytes, where: str) -> DataManifest:
    """Read a manifest of this release or of v1, which becomes one of this release, under its own digest.

    Raises:
        Unreadable: it is no manifest; Newer where it is of a later release.
        ValueError: it is altered: its digest is not the one that it states.
    """
    if not re.search(rb'"kind"\s*:\s*"colchis\.dev/data/v1"', content[:4096]):
        found = decode(DataManifest, content, where)
        if found.digest != (actual := data_digest(found)) and found.digest != _stated_digest(content):
            raise ValueError(f"it says {found.digest} and is {actual}")
        return found
    old = decode(data_v1.DataManifest, content, where)
    actual = data_v1.data_digest(old.name, old.label, old.columns, old.splits)
    if old.digest != actual and old.digest not in data_v1.stated_digests(content):
        raise ValueError(f"it says {old.digest} and is {actual}")
    return upgraded(old)


def _stated_digest(content: bytes) -> str:
    """Return the digest by what a manifest says, with fields of a newer release in its parts."""
    stated = json.loads(content)
    fields: dict[str, object] = {
        "name": "",
        "task": {},
        "columns": [],
        "splits": {},
        "division": {},
        "schema": "",
        "parent": None,
    }
    return canonical_digest({name: stated.get(name, default) for name, default in fields.items()})


def upgraded(old: data_v1.DataManifest) -> DataManifest:
    """Return a manifest of v1 as one of this release; its shards are npz."""
    columns = tuple(_column(column, old.label) for column in old.columns)
    classes = next((column.classes or () for column in old.columns if column.name == old.label), ())
    splits = {
        name: Split(
            sum(shard.rows for shard in shards),
            "",
            tuple(Shard(shard.path, shard.rows, shard.size, shard.sha256, "npz") for shard in shards),
        )
        for name, shards in old.splits.items()
    }
    return DataManifest(
        name=old.name,
        digest=old.digest,
        task=Task("classification", (old.label,), classes),
        columns=columns,
        splits=splits,
        division=Division("given"),
        created_at=old.created_at,
        sources=(Source(old.source, 0, ""),),
    )


def _column(old: data_v1.Column, label: str) -> Column:
    types = {numpy: arrow for arrow, numpy in _NUMPY.items()}
    kind = old.dtype.lstrip("<>|=")[:1]
    name = {"U": "string", "S": "binary"}.get(kind, types.get(old.dtype, old.dtype))
    role = "label" if old.name == label else "feature"
    return Column(old.name, name, old.shape, role, False, "", old.minimum, old.maximum, 0, old.classes)
