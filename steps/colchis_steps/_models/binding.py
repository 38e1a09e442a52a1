"""Whether the documents of a version agree: manifest, record, statement, what evaluate found, and the golden rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from colchis_steps._formats.documents import Part, Unreadable, content_digest, decode
from colchis_steps._formats.keys import golden_key, manifest_key, record_key, result_key, statement_key, version_prefix
from colchis_steps._formats.models import Golden, Manifest, Record, tree_digest
from colchis_steps._formats.runs import StepResult
from colchis_steps._models.verdict import evaluation_digest
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import document_bytes, find_document

RECORD, MANIFEST = "record.json", "manifest.json"  # as the statement names them


class _Named(Part):
    name: str = ""
    digest: dict[str, str] = msgspec.field(default_factory=dict)


class _Run(Part):
    byproducts: tuple[_Named, ...] = ()


class _Predicate(Part):
    run: _Run = msgspec.field(name="runDetails", default_factory=_Run)


class _Statement(Part):
    subject: tuple[_Named, ...]
    predicate: _Predicate


def is_external(record: Record) -> bool:
    """Return whether the record is of an older release, whose verdict is bound to nothing."""
    return not record.evaluation


@dataclass(frozen=True)
class Version:
    """What the store says of a version, each document read once; ``faults`` are in what they do not agree."""

    manifest: Manifest
    record: Record
    digest: str  # of the record
    faults: tuple[str, ...]
    statement: bytes = b""  # what a signature is over


def read_version(store: Objects, model: str, version: int) -> Version:
    """Read the documents of a version and hold them against each other.

    Raises:
        NotFound: there is no manifest, or no record.
        Unreadable: one of the two is damaged or of another kind.
    """
    contents = {key: document_bytes(store, key) for key in (manifest_key(model, version), record_key(model, version))}
    (key, manifest_content), (other, record_content) = contents.items()
    manifest = decode(Manifest, manifest_content, f"{store.url}/{key}")
    record = decode(Record, record_content, f"{store.url}/{other}")
    documents = {RECORD: content_digest(record_content), MANIFEST: content_digest(manifest_content)}
    faults = [
        f"{what} is {str(there)[:128]}, not {str(wanted)[:128]}"
        for what, there, wanted in (
            ("the manifest's name", f"{manifest.model}:{manifest.version}", f"{model}:{version}"),
            ("the record's name", f"{record.model}:{record.version}", f"{model}:{version}"),
            ("the manifest's tree", manifest.tree, tree_digest(manifest.files)),
            ("the record's tree", record.tree, manifest.tree),
            ("the manifest's digest", documents[MANIFEST], record.manifest_digest),
        )
        if there != wanted
    ]
    try:
        statement = document_bytes(store, statement_key(model, version))
    except NotFound:
        statement, faults = b"", [*faults, "it has no statement; run register again"]
    else:
        faults += _statement(statement, manifest, record, documents)
    return Version(manifest, record, documents[RECORD], tuple(faults), statement)


def _statement(content: bytes, manifest: Manifest, record: Record, documents: dict[str, str]) -> Iterator[str]:
    try:
        found = msgspec.json.decode(content, type=_Statement)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        yield f"its statement is not one ({str(error)[:128]})"
        return
    subjects = {(subject.name, f"sha256:{subject.digest.get('sha256')}") for subject in found.subject}
    wanted = {(record.image, record.digest), (version_prefix(record.model, record.version), record.tree)}
    wanted |= {(file.path, f"sha256:{file.sha256}") for file in manifest.files}
    if missing := sorted(wanted - subjects):
        yield f"its statement does not name {missing[0][0][:128]} as {missing[0][1]}"
    stated = {one.name: f"sha256:{one.digest.get('sha256')}" for one in found.predicate.run.byproducts}
    if is_external(record) and not stated.keys() & documents.keys():
        return  # an older release's statement names neither
    for name, digest in documents.items():
        if stated.get(name) != digest:
            yield f"its {name} is {digest}, and its statement says {stated.get(name, 'nothing')}"


def outdated(store: Objects, record: Record) -> Iterator[str]:
    """Yield what the run of a record no longer has as it was registered; what is gone with an old run is no fault."""
    try:
        result = find_document(store, result_key(record.run, "evaluate"), StepResult)
    except Unreadable as error:
        yield str(error)
    else:
        if result and (found := evaluation_digest(result.details)) != record.evaluation:
            yield f"what evaluate found in run {record.run} is {found}, and was {record.evaluation} when it passed"
    try:
        golden_of(store, record)
    except InputError as error:
        yield str(error)


def golden_of(store: Objects, record: Record) -> Golden | None:
    """Return the golden rows of a version; None where there are none any more.

    Raises:
        InputError: they are not those that the record names.
    """
    key = golden_key(record.run)
    try:
        content = document_bytes(store, key)
    except NotFound:
        return None
    if record.golden not in {"", content_digest(content)}:
        raise InputError(
            f"{store.url}/{key} is {content_digest(content)}, and was {record.golden} when the version passed; "
            "somebody changed it, so run the pipeline again"
        )
    return decode(Golden, content, f"{store.url}/{key}")
