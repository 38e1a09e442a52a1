"""From what somebody has in hand to versions: a digest as a pod shows it, a name, an alias, an endpoint, or a run."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from colchis_steps._formats.keys import alias_key, model_prefix, record_key, statement_key, version_of
from colchis_steps._formats.models import Alias, Record
from colchis_steps._models.candidates import find_candidate
from colchis_steps._serving.client import call
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import document_bytes, find_document, find_step, legible_document

ALIASES = ("stable", "canary", "latest")
DIGEST = re.compile(r"(?:.*@)?(?:sha256:)?([0-9a-f]{64})")
NAME = re.compile(r"([^/:@]+)(?:[/:@]([^/:@]*))?")
SERVED = re.compile(r"(?P<place>.*)/v[12]/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[0-9]+))?(?:[:/].*)?")


def versions(store: Objects, what: str) -> list[Record]:
    """Find the versions that are meant: more than one only where a digest is that of a file of several.

    Raises:
        InputError: there is none; the message says which there are.
        TransientError: nothing answers at the endpoint.
    """
    if what.startswith(("http://", "https://")):
        return [by_endpoint(store, what)]
    if match := DIGEST.fullmatch(what):
        if found := by_digest(store, match[1]):
            return found
        raise InputError(
            f"no record in {store.url} knows {what[:256]}; give the store that this model came from, or the digest "
            "of the model's image"
        )
    if match := NAME.fullmatch(what):
        return [by_name(store, match[1], match[2] or "")]
    raise InputError(f"{what[:256]!r} is no digest, no MODEL@VERSION and no address; see: colchis models list")


def version_or_run(store: Objects, what: str) -> Record | str:
    """Find the one version that is meant, or the name of a run that trained a model. Raises as ``versions``."""
    is_name = NAME.fullmatch(what) and not DIGEST.fullmatch(what)
    known = is_name and any(True for _ in store.keys(model_prefix(what)))
    if is_name and not known and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", what) and find_candidate(store, what):
        return what
    found = versions(store, what)
    if len(found) > 1:
        names = ", ".join(f"{record.model}@{record.version}" for record in found[:8])
        raise InputError(f"{what[:256]} is of several versions: {names}; name one of them")
    return found[0]


def records(store: Objects, model: str = "") -> Iterator[Record]:
    """Yield each record in the store, or each of one model; one that cannot be read is left out, with a warning."""
    for key in store.keys(model_prefix(model)):
        if version_of(key, "record") and (record := legible_document(store, key, Record)):
            yield record


def by_digest(store: Objects, hexadecimal: str) -> list[Record]:
    """Find the versions that the digest names.

    First those whose image, tree or manifest it is, then by any subject of their statement, then by what their run
    built, as the image with a server below the model's files.
    """
    found: list[Record] = []
    rest: list[Record] = []
    for record in records(store):
        own = {record.digest, record.tree, record.manifest_digest}
        (found if f"sha256:{hexadecimal}" in own else rest).append(record)
    return (
        found
        or [record for record in rest if hexadecimal in _subjects(store, record)]
        or [record for record in rest if hexadecimal in _built(store, record)]
    )


def _subjects(store: Objects, record: Record) -> set[str]:
    try:
        statement = json.loads(document_bytes(store, statement_key(record.model, record.version)))
        return {subject["digest"]["sha256"] for subject in statement["subject"]}
    except (NotFound, ValueError, KeyError, TypeError):
        return set()


def _built(store: Objects, record: Record) -> set[str]:
    try:
        result = find_step(store, record.run, "build_image")
    except InputError:
        return set()
    return {value.rpartition("sha256:")[2] for value in result.outputs.values()} if result else set()


def by_name(store: Objects, model: str, version: str) -> Record:
    """Find a version by model and number or alias; without either, the one that stable names, else latest.

    Raises:
        InputError: there is no such model or version.
    """
    if not version.isdecimal():
        wanted = (version,) if version else ("stable", "latest")
        aliases = (find_document(store, alias_key(model, name), Alias) for name in wanted if name in ALIASES)
        alias = next((alias for alias in aliases if alias), None)
        if alias is None:
            known = sorted({record.model for record in records(store)})
            if version and model in known:
                raise InputError(f"{model} has no {version[:64]!r}; give a number, or one of {', '.join(ALIASES)}")
            raise InputError(f"{store.url} has no model {model[:256]!r} on record; it has {', '.join(known) or 'none'}")
        version = str(alias.version)
    found = find_document(store, record_key(model, int(version)), Record)
    if found is None:
        known = [str(record.version) for record in records(store, model)]
        raise InputError(
            f"{model}/{version[:64]} is not on record in {store.url}; there are {', '.join(known) or 'none'}"
        )
    return found


def by_endpoint(store: Objects, url: str) -> Record:
    """Ask a server which version answers there, and find that one.

    Raises:
        InputError: it serves no model of that name, or one that this store does not know.
        Away: nothing answers.
    """
    parts = urlsplit(url)
    match = SERVED.fullmatch(parts.path)
    place = f"{parts.scheme}://{parts.netloc}{match['place'] if match else parts.path.rstrip('/')}"
    model = unquote(match["model"]) if match else _only_model(place)
    wanted = f"/versions/{match['version']}" if match and match["version"] else ""
    told = _asked(f"{place}/v2/models/{model}{wanted}").get("parameters")
    version = told.get("version") if isinstance(told, dict) else None
    if version is None:  # TensorFlow Serving's way to say it
        told = _asked(f"{place}/v1/models/{model}{wanted}/metadata").get("model_spec")
        version = told.get("version") if isinstance(told, dict) else None
    if not isinstance(version, str) or not version.isdecimal():
        raise InputError(f"{url[:256]} does not say which version of {model[:64]!r} answers; name it: MODEL@VERSION")
    return by_name(store, model, version)


def _only_model(place: str) -> str:
    listed = _asked(f"{place}/v1/models").get("models")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    if len(names) != 1:
        known = f"it serves {', '.join(names[:8])}" if names else "it does not say what it serves"
        raise InputError(f"{place} is not the address of one model: {known}; give {place}/v1/models/NAME")
    return names[0]


def _asked(url: str) -> dict[str, Any]:
    status, found = call(url, timeout=10)
    return found if status == 200 and isinstance(found, dict) else {}
