"""Documents of a model: files, candidate, manifest, record, aliases and golden rows."""

from collections.abc import Iterable
from typing import Any

from colchis_steps._formats.data import Column
from colchis_steps._formats.documents import Document, Part, canonical_digest
from colchis_steps._formats.numbers import column_numbered


class File(Part):
    """A file of a model: ``path`` is relative and has no ``..``; the blob is ``blobs/sha256/<sha256>``."""

    path: str
    size: int
    sha256: str


def tree_digest(files: Iterable[File]) -> str:
    """Return the digest of a directory: over path, size and sha256 of each file, sorted by path."""
    return canonical_digest([[f.path, f.size, f.sha256] for f in sorted(files, key=lambda f: f.path)])


class Code(Part):
    """The user's code of a run: the zip's digest, or none where the image brings it; what git knows of it, if any."""

    entry: str
    uri: str = ""
    digest: str = ""
    revision: str = ""
    repository: str = ""  # https://host/owner/name


class Origin(Part):
    """Where an adopted model was found: its URI, its path and format there, and the digest of its files.

    ``fitted`` is the digest of these files and of all that decides what is served of them; what was adopted before is
    known by it. ``wrapped`` says whether that is another program than was found, or the very bytes.
    """

    uri: str
    path: str
    format: str  # savedmodel, keras, onnx
    digest: str
    fitted: str
    wrapped: bool = False


class Candidate(Document, tag="colchis.dev/candidate/v1"):
    """What ``train`` made (``runs/<run>/candidate/model.json``): a model that is stored but has no version yet.

    ``beside``: its blobs lie beside it; else among the store's own: sent by ``upload --from``, or a version's that is
    adopted again. ``task`` and ``classes`` are what was said of an adopted model without data.
    """

    run: str
    model: str
    files: tuple[File, ...]
    tree: str
    data: str  # URI of the data set, relative to the store where it lies in there, as the code's
    data_digest: str
    code: Code
    hyperparameters: dict[str, Any]
    signature: dict[str, dict[str, dict[str, Any]]]  # {"inputs"|"outputs": {name: {"dtype": …, "shape": […]}}}
    frameworks: dict[str, str]  # {"tensorflow": "2.21.0", "keras": …, "python": …}
    created_at: str
    beside: bool = False
    format: str = "savedmodel"  # or onnx
    origin: Origin | None = None  # of one that was adopted
    task: str = ""
    classes: tuple[str, ...] | None = None


class Bounds(Part):
    """The least and the greatest value that a column of the training data can hold."""

    minimum: float
    maximum: float


class Description(Part):
    """What a store tells of an object: its time counts where there is no checksum."""

    size: int
    modified: float  # seconds since 1970
    crc64nvme: str


class Confirmed(Document, tag="colchis.dev/confirmed/v1"):
    """The candidate's blobs as they were when they were verified (``runs/<run>/confirmed.json``)."""

    run: str
    blobs: dict[str, Description]  # by sha256


class Manifest(Document, tag="colchis.dev/manifest/v1"):
    """A version of a model (``models/<model>/<n>/manifest.json``): it exists when this does, and never changes.

    ``inputs``, ``classes``, ``task`` and ``columns`` are what a server says of the model beyond its signature, by the
    data that it was trained on; None (of ``task``: empty) where the data set did not tell, and in manifests of older
    releases.
    """

    model: str
    version: int
    run: str
    files: tuple[File, ...]
    tree: str
    created_at: str
    inputs: dict[str, Bounds] | None = None  # by column
    classes: tuple[str, ...] | None = None  # the name of class 0, 1, …
    task: str = ""  # its kind
    columns: tuple[Column, ...] | None = None  # those that clients write otherwise than the signature has them
    format: str = "savedmodel"  # or onnx
    targets: tuple[str, ...] = ()  # of a regression: the columns whose values it tells
    origin: Origin | None = None  # of one that was adopted


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

    def __post_init__(self) -> None:
        """Let columns of numbers have floats for the words of those that JSON lacks."""
        self.inputs = {name: column_numbered(values) for name, values in self.inputs.items()}
        self.outputs = {name: column_numbered(values) for name, values in self.outputs.items()}


class Record(Document, tag="colchis.dev/record/v1"):
    """Where a version came from (``models/<model>/<n>/record.json``); written once.

    From ``evaluation`` on it says what its verdict is bound to. A record without, of an older release, is external.
    """

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
    verdict: str  # pass, or unjudged where an adopted model was held against no data
    frameworks: dict[str, str]
    step_images: dict[str, str]
    workflow: str
    created_by: str
    created_at: str
    evaluation: str = ""  # digest of what evaluate found
    golden: str = ""  # digest of the golden rows
    baseline: int | None = None  # the version that it was judged against; None: none was stable
    baseline_digest: str = ""  # of that version's manifest
    policy: str = ""  # digest of the policy that it was judged by; "" where the model had none
    format: str = "savedmodel"  # or onnx
    origin: Origin | None = None  # of one that was adopted
