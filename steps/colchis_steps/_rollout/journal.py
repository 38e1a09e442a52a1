"""What a rollout reads and writes in the store, whatever the target: published versions and the alias ``stable``."""

import contextlib
import logging

from colchis_steps._data.dataset import open_data
from colchis_steps._data.facts import Facts, served_facts
from colchis_steps._formats.data import RAGGED
from colchis_steps._formats.documents import decode, encode, now
from colchis_steps._formats.keys import rollout_key
from colchis_steps._formats.models import Manifest, Record
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._serving.config import Range, Served, Written
from colchis_steps._step.errors import StepError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import document_bytes, find_document
from colchis_steps._tensors.formats import SAVED_MODEL

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


def facts(manifest: Manifest, record: Record) -> Facts:
    """Return what is known of a version beyond its signature: from the manifest, or, of an older one, the data set."""
    if manifest.inputs is not None:
        return Facts(manifest.inputs, manifest.classes or (), manifest.task, manifest.columns or (), manifest.targets)
    try:
        if record.data:
            return served_facts(open_data(record.data).manifest)
    except StepError as error:
        log.warning("the bounds of the inputs and the classes' names are not known: %s", error)
    return Facts({}, manifest.classes or (), manifest.task, ())  # what was said of one that was adopted without data


def described(path: str, manifest: Manifest, record: Record, allowed: tuple[str, ...] = ()) -> Served:
    """Return what the server's configuration says of a version whose files lie at ``path``.

    ``allowed`` are operations that may reach out of the model.
    """
    found = facts(manifest, record)
    tensorflow = record.frameworks.get("tensorflow", "") if record.format == SAVED_MODEL else ""
    ranges = {name: Range(bounds.minimum, bounds.maximum) for name, bounds in found.inputs.items()}
    columns = {c.name: Written(c.type, c.nullable, RAGGED in c.shape, c.media) for c in found.columns}
    task = "" if found.task == "classification" else found.task
    return Served(path, manifest.tree, ranges, found.classes, tensorflow, allowed, task, columns, found.targets)
