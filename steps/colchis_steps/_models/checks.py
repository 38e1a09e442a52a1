"""What ``verify`` holds of a model beside its files: records, statements, evaluations, aliases and rollouts."""

from collections.abc import Iterator

from colchis_steps._formats.documents import Unreadable
from colchis_steps._formats.keys import alias_key, manifest_key, model_prefix, record_key, rollouts_prefix
from colchis_steps._formats.models import Alias, Record
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._models.binding import is_external, outdated, read_version
from colchis_steps._models.verdict import PUBLISHED
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import find_document

ALIASES = ("latest", "canary", "stable")


def version_faults(store: Objects, model: str, version: int) -> Iterator[str]:
    """Yield in what the documents of a version do not agree; one that was never registered has none to hold."""
    name = f"{model}:{version}"
    try:
        found = read_version(store, model, version)
    except NotFound:
        return
    except Unreadable as error:
        yield f"{name} {error}"
        return
    yield from (f"{name} {fault}" for fault in found.faults)
    if is_external(found.record):
        return
    if found.record.verdict not in PUBLISHED:
        yield f"{name} is on record with the verdict {found.record.verdict[:32]!r}, which no served version has"
    yield from (f"{name} {fault}" for fault in outdated(store, found.record))


def model_faults(store: Objects, model: str) -> Iterator[str]:
    """Yield which aliases and rollouts of a model name what is not on record."""
    for alias in ALIASES:
        key = alias_key(model, alias)
        try:
            found = find_document(store, key, Alias)
            record = find_document(store, record_key(model, found.version), Record) if found else None
        except Unreadable as error:
            yield f"{model} {alias}: {error}"
            continue
        if found and (record is None or found.model != model):
            yield f"{model} {alias} names {found.model[:64]}:{found.version}, which is not on record"
        elif found and record and found.image and found.image.rpartition("@")[2] != record.digest:
            yield f"{model} {alias} names the image {found.image[:256]}, and version {found.version} is {record.digest}"
    for key in store.keys(rollouts_prefix(model)):
        try:
            told = find_document(store, key, Rollout)
        except Unreadable as error:
            yield f"{model} {error}"
            continue
        if told and (told.model != model or store.size(manifest_key(model, told.version)) is None):
            yield f"{model} {key} tells of {told.model[:64]}:{told.version}, which there is not"


def models_of(store: Objects) -> list[str]:
    """Return the names of the models that the store tells of."""
    return sorted({key.split("/")[1] for key in store.keys(model_prefix()) if key.count("/") > 1})
