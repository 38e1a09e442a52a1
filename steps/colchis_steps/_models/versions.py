"""The versions of a model: the newest one, and one that is published."""

from colchis_steps._formats.keys import manifest_key, model_prefix, record_key, version_of
from colchis_steps._formats.models import Manifest, Record
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.uris import located


def published(store: Objects, model: str, version: int) -> tuple[Manifest, Record]:
    """Return the two documents that make a version one that may be served; the record's URIs are absolute.

    Raises:
        InputError: one of them is missing or cannot be read.
    """
    try:
        manifest = read_document(store, manifest_key(model, version), Manifest)
        return manifest, located(store, read_document(store, record_key(model, version), Record))
    except NotFound as error:
        raise InputError(f"version {version} of {model} is not published ({error}); run upload and register") from error


def check_image(record: Record, image: str) -> None:
    """Raise InputError where ``image`` is not the one that the version's record names."""
    if image.rpartition("@")[2] != record.digest:
        name = f"{record.model} {record.version}"
        raise InputError(f"{image} is not the image of {name}, which is {record.image}; roll out that one")


def newest(store: Objects, model: str) -> Manifest | None:
    """Return the manifest of the model's highest version, or None where it has none yet."""
    found = [place for key in store.keys(model_prefix(model)) if (place := version_of(key))]
    return read_document(store, manifest_key(*max(found)), Manifest) if found else None
