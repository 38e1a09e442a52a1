"""The versions of a model: the newest one, and one that is published."""

import logging

from colchis_steps._formats.keys import manifest_key, model_prefix, version_of
from colchis_steps._formats.models import Manifest, Record
from colchis_steps._models.aliases import stable
from colchis_steps._models.binding import is_external, read_version
from colchis_steps._models.policy import UNJUDGED, check_demanded, read_policy
from colchis_steps._models.signing.check import check_signed
from colchis_steps._models.verdict import PUBLISHED
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.uris import located

log = logging.getLogger("colchis")


def published(
    store: Objects, model: str, version: int, *, registered: str = "", run: str = "", back: bool = False
) -> tuple[Manifest, Record]:
    """Return the two documents that make a version one that may be served; the record's URIs are absolute.

    Args:
        store: where they are.
        model: the model.
        version: the version.
        registered: the digest of the record, as register gave it to the workflow; "" where nobody did.
        run: who rolls it out; a run's own version must have been judged against what is stable now.
        back: it is gone back to, which a version of before verdicts were bound may be.

    Raises:
        InputError: one of them is missing or cannot be read, they do not agree, the gate did not pass the version, or
            it is not signed where that is asked for, or is not as the model's policy demands.
    """
    name = f"version {version} of {model}"
    try:
        found = read_version(store, model, version)
    except NotFound as error:
        raise InputError(f"{name} is not published ({error}); run upload and register") from error
    if registered not in {"", found.digest}:
        raise InputError(
            f"the record of {name} is {found.digest}, and register wrote {registered}; somebody changed it, so "
            "run the pipeline again"
        )
    if found.faults:
        raise InputError(f"{name} must not be served: {found.faults[0]}; see: colchis verify {model}:{version}")
    if found.record.verdict not in PUBLISHED:
        raise InputError(f"the gate says {found.record.verdict[:32]!r} of {name}, so it must not be served")
    demands, alias = read_policy(store, model), stable(store, model)
    check_signed(store, found, signers=demands.policy.signers)
    forward = not back and (alias is None or version > alias.version)
    own = run == found.record.run and not back
    check_demanded(demands, found.record, forward=own or forward)
    if is_external(found.record) and found.record.verdict != UNJUDGED:
        if forward:
            raise InputError(
                f"{name} was registered by an older release, which bound its verdict to nothing; it can be gone back "
                "to, not rolled out: run the pipeline again"
            )
        log.warning("%s was registered by an older release, which bound its verdict to nothing", name)
    elif own and found.record.verdict != UNJUDGED:
        _check_baseline(store, found.record)
    return found.manifest, located(store, found.record)


def _check_baseline(store: Objects, record: Record) -> None:
    """Raise InputError where another version is stable than the one that the version was judged against."""
    alias = stable(store, record.model)
    there = alias.version if alias else None
    if there not in {record.version, record.baseline}:
        judged = "no version" if record.baseline is None else f"version {record.baseline}"
        raise InputError(
            f"{record.model}:{record.version} was judged against {judged}, and version {there} is stable now; "
            "submit the pipeline again"
        )


def check_image(record: Record, image: str) -> None:
    """Raise InputError where ``image`` is not the one that the version's record names."""
    if image.rpartition("@")[2] != record.digest:
        name = f"{record.model} {record.version}"
        raise InputError(f"{image} is not the image of {name}, which is {record.image}; roll out that one")


def newest(store: Objects, model: str) -> Manifest | None:
    """Return the manifest of the model's highest version, or None where it has none yet."""
    found = [place for key in store.keys(model_prefix(model)) if (place := version_of(key))]
    return read_document(store, manifest_key(*max(found)), Manifest) if found else None
