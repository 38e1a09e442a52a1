"""The documents that Colchis keeps in the store: each is JSON with a ``kind``; unknown kinds are refused by name.

Keys are written in a fixed order and without spaces, so that equal documents have equal bytes. Times are RFC 3339 in
UTC with whole seconds; sizes are bytes; digests are ``sha256:<hex>`` unless a field is named ``sha256`` (hex alone).
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from colchis_steps._step import InputError


class Document(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind"):
    """A document with a kind of its own."""


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """A part of a document."""


D = TypeVar("D", bound=Document)


def encode(document: Document) -> bytes:
    """Give the document's JSON."""
    return msgspec.json.encode(document)


def decode(kind: type[D], content: bytes, source: str) -> D:
    """Read a document of the kind; ``source`` names where it lies, for the error.

    Raises:
        InputError: the content is no JSON, of another kind, or lacks or adds a field.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        want = kind.__struct_config__.tag
        message = f"{source} is not a {want} document ({str(error)[:256]}); name the right one or make it anew"
        raise InputError(message) from error


def now() -> str:
    """Give the time as documents hold it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical_digest(value: object) -> str:
    """Give the digest of a JSON value whose keys are sorted and whose form has no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


# ── data ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Column(Part):
    """One column of a data set: ``shape`` is one row's, without the leading row axis."""

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    classes: tuple[str, ...] | None = None  # of a label: the name of class 0, 1, …


class Shard(Part):
    """One file of a split, beside the manifest: an npz whose arrays are the columns."""

    path: str
    rows: int
    size: int
    sha256: str


class DataManifest(Document, tag="colchis.dev/data/v1"):
    """A data set: its splits (train, eval, test), its schema and where it came from; written last, as manifest.json."""

    name: str
    digest: str  # of everything else here but ``source`` and ``created_at``
    label: str
    columns: tuple[Column, ...]
    splits: dict[str, tuple[Shard, ...]]
    source: str
    created_at: str


def data_digest(name: str, label: str, columns: Iterable[Column], splits: dict[str, tuple[Shard, ...]]) -> str:
    """Give the digest by which a data set is known."""
    return canonical_digest(
        msgspec.to_builtins({"name": name, "label": label, "columns": tuple(columns), "splits": splits})
    )


# ── models ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class File(Part):
    """A file of a model: ``path`` is relative and has no ``..``; the blob is ``blobs/sha256/<sha256>``."""

    path: str
    size: int
    sha256: str


def tree_digest(files: Iterable[File]) -> str:
    """Give the digest of a directory: over path, size and sha256 of each file, sorted by path."""
    return canonical_digest([[f.path, f.size, f.sha256] for f in sorted(files, key=lambda f: f.path)])


class Code(Part):
    """The user's code of a run: the zip's digest, or none where the image brings it; revision is git's, if any."""

    entry: str
    uri: str = ""
    digest: str = ""
    revision: str = ""


class Candidate(Document, tag="colchis.dev/candidate/v1"):
    """What ``train`` made (``runs/<run>/model.json``): a model that is stored but has no version yet."""

    run: str
    model: str
    files: tuple[File, ...]
    tree: str
    data: str  # URI of the data set
    data_digest: str
    code: Code
    hyperparameters: dict[str, Any]
    signature: dict[str, dict[str, dict[str, Any]]]  # {"inputs"|"outputs": {name: {"dtype": …, "shape": […]}}}
    frameworks: dict[str, str]  # {"tensorflow": "2.21.0", "keras": …, "python": …}
    created_at: str


class Manifest(Document, tag="colchis.dev/manifest/v1"):
    """A version of a model (``models/<model>/<n>/manifest.json``): it exists when this does, and never changes."""

    model: str
    version: int
    run: str
    files: tuple[File, ...]
    tree: str
    created_at: str


class Alias(Document, tag="colchis.dev/alias/v1"):
    """A movable name of a version (``models/<model>/aliases/<name>.json``); ``previous`` is what rollback goes to."""

    model: str
    version: int
    updated_at: str
    previous: int | None = None
    run: str = ""
    image: str = ""
    endpoint: str = ""
    weight: int | None = None  # of a canary: per cent of the traffic


class Golden(Document, tag="colchis.dev/golden/v1"):
    """Rows and what the model that a run made answered to them (``runs/<run>/golden.json``)."""

    run: str
    inputs: dict[str, list[Any]]  # by name, a value a row
    outputs: dict[str, list[Any]]


class Record(Document, tag="colchis.dev/record/v1"):
    """Where a version came from (``models/<model>/<n>/record.json``); written once."""

    model: str
    version: int
    run: str
    image: str  # reference by digest
    digest: str
    tree: str
    manifest: str  # the manifest's key
    manifest_digest: str
    data: str
    data_digest: str
    code: Code
    hyperparameters: dict[str, Any]
    metrics: dict[str, float]
    verdict: str
    frameworks: dict[str, str]
    step_images: dict[str, str]
    workflow: str
    created_by: str
    created_at: str


# ── rollouts ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Finding(Part):
    """A measure of a canary: so many events among so many trials, and what that shows."""

    name: str
    events: int
    trials: int
    told: str  # what an event is, and how much of it is tolerated
    evidence: float  # natural logarithm; above the alarm's it speaks against the canary
    state: str  # good, bad, open


class JudgedStep(Part):
    """A canary at one weight: per cent of the traffic, seconds that it was watched, and the verdict on it."""

    weight: int
    seconds: float
    verdict: str  # pass, fail
    reason: str = ""
    findings: tuple[Finding, ...] = ()


class Rollout(Document, tag="colchis.dev/rollout/v1"):
    """How a version was rolled out (``models/<model>/rollouts/<run>.json``); ``stable`` is what it was judged by."""

    model: str
    version: int
    run: str
    stable: int | None
    started_at: str
    verdict: str = ""  # pass, fail; "" while it is not known
    reason: str = ""
    steps: tuple[JudgedStep, ...] = ()
    finished_at: str = ""


# ── runs: ``runs/<run>/<step>.json`` ────────────────────────────────────────────────────────────────────────────────


class StepResult(Document, tag="colchis.dev/step/v1"):
    """What a step did; ``details`` is the JSON of the step's own part in ``_reports``."""

    step: str
    run: str
    status: str  # running, succeeded, failed
    inputs: dict[str, str]
    started_at: str
    message: str = ""
    outputs: dict[str, str] = {}
    verdict: str = ""
    finished_at: str = ""
    seconds: float = 0.0
    details: dict[str, Any] = {}
