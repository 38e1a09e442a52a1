"""What a rollout reads and writes in the store, whatever the target: published versions and the alias ``stable``."""

import contextlib
import logging

from colchis_steps._formats.documents import decode, encode, now
from colchis_steps._formats.keys import rollout_key
from colchis_steps._formats.models import Bounds, Manifest, Record
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._serving.config import Range, Served
from colchis_steps._step.errors import StepError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import document_bytes, find_document

log = logging.getLogger("colchis")


def begun(store: Objects, model: str, version: int, run: str, stable: int | None) -> Rollout:
    """Return this run's rollout document for the version, or a new one."""
    found = find_document(store, rollout_key(model, run), Rollout)
    return found if found and found.version == version else Rollout(model, version, run, stable, now())


def write(store: Objects, rollout: Rollout, verdict: str = "", reason: str = "") -> None:
    """Write a rollout down; with a verdict, it is over. Fields of a newer release stay."""
    rollout.verdict, rollout.reason, rollout.finished_at = verdict, reason, now() if verdict else ""
    key, before = rollout_key(rollout.model, rollout.run), b""
    with contextlib.suppress(NotFound):
        before = document_bytes(store, key)
    if before and decode(Rollout, before, f"{store.url}/{key}").version != rollout.version:
        before = b""  # of another version that this run rolled out
    store.write(key, encode(rollout, before))


def facts(manifest: Manifest, record: Record) -> tuple[dict[str, Bounds], tuple[str, ...]]:
    """Return the inputs' bounds and the classes' names: from the manifest, or, of an older one, from the data set."""
    from colchis_steps._data import dataset

    if manifest.inputs is not None:
        return manifest.inputs, manifest.classes or ()
    try:
        return dataset.served_facts(dataset.open_data(record.data).manifest) if record.data else ({}, ())
    except StepError as error:
        log.warning("the bounds of the inputs and the classes' names are not known: %s", error)
        return {}, ()


def described(path: str, manifest: Manifest, record: Record, allowed: tuple[str, ...] = ()) -> Served:
    """Return what the server's configuration says of a version whose files lie at ``path``.

    ``allowed`` are operations that may reach out of the model.
    """
    inputs, classes = facts(manifest, record)
    ranges = {name: Range(bounds.minimum, bounds.maximum) for name, bounds in inputs.items()}
    return Served(path, manifest.tree, ranges, classes, record.frameworks.get("tensorflow", ""), allowed)
