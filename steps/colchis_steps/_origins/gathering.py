"""All that a store tells of a version, or of what a run made, held against the digests that name it."""

from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from colchis_steps._data.dataset import read_manifest
from colchis_steps._formats.data import DataManifest
from colchis_steps._formats.documents import Part, converted
from colchis_steps._formats.keys import DATA_MANIFEST, data_prefix, manifest_key, record_key, rollouts_prefix
from colchis_steps._formats.models import Candidate, Manifest, Record
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._formats.runs import Evaluation, RolloutReport, StepResult, TrainingReport
from colchis_steps._models.candidates import find_candidate
from colchis_steps._models.verdict import evaluation_digest
from colchis_steps._step.errors import InputError, StepError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import find_document, find_step, legible_document
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import located

P = TypeVar("P", bound=Part)


@dataclass
class Origin:
    """A version by its record, or a run by its candidate; ``notes`` say what there ought to be and cannot be read."""

    name: str  # digits/3, or run x
    about: Record | Candidate  # with absolute URIs
    format: str
    evaluation: Evaluation | None = None
    training: TrainingReport | None = None
    rollout: RolloutReport | None = None
    data: DataManifest | None = None
    size: int = 0  # bytes of the model's files
    notes: list[str] = field(default_factory=list)

    @property
    def record(self) -> Record | None:
        """The version's record; a run's candidate has none."""
        return self.about if isinstance(self.about, Record) else None

    @property
    def metrics(self) -> dict[str, float]:
        """The figures on the test split."""
        if self.record:
            return self.record.metrics
        return self.evaluation.metrics if self.evaluation else {}

    @property
    def verdict(self) -> str:
        """What the gate said; "" where it was not asked."""
        return self.record.verdict if self.record else self.evaluation.verdict if self.evaluation else ""


def of_version(store: Objects, record: Record) -> Origin:
    """Gather what there is of a version."""
    found = Origin(f"{record.model}/{record.version}", located(store, record), record.format)
    manifest = _noted(found, store, manifest_key(record.model, record.version))
    if manifest:
        found.format, found.size = manifest.format, sum(file.size for file in manifest.files)
    _add_steps(found, store, record.evaluation)
    found.data = _data(found, found.about.data, found.about.data_digest)
    return found


def of_run(store: Objects, run: str) -> Origin:
    """Gather what there is of a run.

    Raises:
        InputError: it trained no model.
    """
    candidate = find_candidate(store, run)
    if candidate is None:
        raise InputError(f"{store.url} has no run {run!r} that trained a model, and no model of that name")
    found = Origin(f"run {run}", located(store, candidate), candidate.format)
    found.size = sum(file.size for file in candidate.files)
    _add_steps(found, store, "")
    found.data = _data(found, found.about.data, found.about.data_digest)
    return found


def _noted(found: Origin, store: Objects, key: str) -> Manifest | None:
    try:
        return find_document(store, key, Manifest)
    except StepError as error:
        found.notes.append(str(error))
        return None


def _add_steps(found: Origin, store: Objects, evaluation: str) -> None:
    """Add what the run's steps recorded; an evaluation other than the one that the record names is none."""
    found.training = _details(found, store, "train", TrainingReport)
    found.rollout = _details(found, store, "rollout", RolloutReport)
    result = _step(found, store, "evaluate")
    if result is None or not result.details:
        return
    if evaluation and (there := evaluation_digest(result.details)) != evaluation:
        found.notes.append(f"what evaluate found in run {found.about.run} is {there}, not {evaluation}, which passed")
        return
    try:
        found.evaluation = converted(result.details, Evaluation)
    except msgspec.ValidationError as error:
        found.notes.append(f"what evaluate found is not as this release knows it ({str(error)[:256]})")


def _step(found: Origin, store: Objects, step: str) -> StepResult | None:
    try:
        return find_step(store, found.about.run, step)
    except StepError as error:
        found.notes.append(str(error))
        return None


def _details(found: Origin, store: Objects, step: str, kind: type[P]) -> P | None:
    result = _step(found, store, step)
    if result is None or not result.details:
        return None
    try:
        return converted(result.details, kind)
    except msgspec.ValidationError as error:
        found.notes.append(f"the details of {step} are not as this release knows them ({str(error)[:256]})")
        return None


def _data(found: Origin, uri: str, digest: str) -> DataManifest | None:
    """Read the manifest of the data; what is gone or another is a note."""
    if not uri:
        return None
    try:
        manifest = read_manifest(open_store(uri), uri)
    except StepError as error:
        found.notes.append(f"the data cannot be read: {error}")
        return None
    if digest not in {"", manifest.digest}:
        found.notes.append(f"the data at {uri} are {manifest.digest} now, and were {digest}")
        return None
    return manifest


def parent_data(store: Objects, data: DataManifest) -> DataManifest | None:
    """Return the manifest of the data set that a command made this one of; None where it is not in the store."""
    if data.parent is None:
        return None
    place = data_prefix(data.name, data.parent.data)
    try:
        return read_manifest(store, f"{store.url}/{place}", f"{place}/{DATA_MANIFEST}")
    except (NotFound, InputError):
        return None


def baseline_of(store: Objects, found: Origin) -> Origin | None:
    """Gather what there is of the version that was stable when this one was judged; None where none was."""
    version = found.record.baseline if found.record else found.evaluation.baseline_version if found.evaluation else None
    if version is None:
        return None
    record = legible_document(store, record_key(found.about.model, version), Record)
    return of_version(store, record) if record else None


def rollouts_of(store: Objects, record: Record) -> list[Rollout]:
    """Return how the version was rolled out, the first time first; what is illegible is left out with a warning."""
    keys = store.keys(rollouts_prefix(record.model))
    found = [told for key in keys if (told := legible_document(store, key, Rollout)) and told.version == record.version]
    return sorted(found, key=lambda told: told.started_at)
