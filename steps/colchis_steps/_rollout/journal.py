"""What a rollout reads and writes in the store, whatever the target: published versions and the alias ``stable``."""

import logging

from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.keys import rollout_key
from colchis_steps._formats.models import Manifest, Record
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._serving.config import Range, Served
from colchis_steps._step.errors import StepError
from colchis_steps._store.api import Store
from colchis_steps._store.documents import find_document

log = logging.getLogger("colchis")


def begun(store: Store, model: str, version: int, run: str, stable: int | None) -> Rollout:
    """Give what an earlier start of this run wrote down of the version, or a new document."""
    found = find_document(store, rollout_key(model, run), Rollout)
    return found if found and found.version == version else Rollout(model, version, run, stable, now())


def write(store: Store, told: Rollout, verdict: str = "", reason: str = "") -> None:
    """Write a rollout down; with a verdict, it is over."""
    told.verdict, told.reason, told.finished_at = verdict, reason, now() if verdict else ""
    store.write(rollout_key(told.model, told.run), encode(told))


def told_by_data(record: Record) -> tuple[dict[str, Range], tuple[str, ...]]:
    """Give the inputs' ranges and the classes' names as the data set tells them; it may be gone by now."""
    from colchis_steps._data.dataset import manifest

    try:
        data = manifest(record.data)
    except StepError as error:
        log.warning("the ranges of the inputs and the classes' names are not known: %s", error)
        return {}, ()
    ranges = {
        column.name: Range(column.minimum, column.maximum)
        for column in data.columns
        if column.name != data.label and column.minimum is not None and column.maximum is not None
    }
    return ranges, next((column.classes for column in data.columns if column.name == data.label), None) or ()


def described(path: str, manifest: Manifest, record: Record) -> Served:
    """Give what the server's configuration says of a version whose files lie at ``path``."""
    return Served(path, manifest.tree, *told_by_data(record), record.frameworks.get("tensorflow", ""))
