"""Where a schema is kept, and the profile that drift is measured against.

A schema is of all data sets of one name: ``data/<name>/schema.yaml``, beside the directories of each import; or of one
of them: ``<data>/schema.yaml``. It is no part of a data set's digest: whoever edits it changes no data.
"""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from colchis_steps._data.dataset import DataSet
from colchis_steps._data.validating.contract import Contract
from colchis_steps._data.validating.schema import LARGEST, parse_schema
from colchis_steps._formats.documents import converted, decode
from colchis_steps._formats.keys import SCHEMA, alias_key, record_key
from colchis_steps._formats.models import Alias, Record
from colchis_steps._formats.profiles import DataReport, SplitProfile
from colchis_steps._formats.runs import StepResult
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import document_bytes, find_document, find_step
from colchis_steps._store.opening import open_store

SERVED = "served"


@dataclass(frozen=True)
class Reference:
    """What drift is measured against: splits by name, none where there is no reference; ``where`` tells of it."""

    splits: dict[str, SplitProfile] = field(default_factory=dict)
    where: str = ""


def schema_places(data: DataSet) -> tuple[str, str]:
    """Return where a schema of these data may lie: of this import, and of all of its name."""
    uri = data.uri.rstrip("/")
    return f"{uri}/{SCHEMA}", f"{uri.rpartition('/')[0]}/{SCHEMA}"


def find_schema(uri: str, data: DataSet) -> Contract:
    """Return the schema at the URI or path; without one, that kept with the data; an empty one where there is none.

    Raises:
        InputError: there is none at the URI, or it makes no sense.
    """
    if uri:
        if (content := _read(uri)) is None:
            raise InputError(f"there is no schema at {uri}; make one by `colchis data infer` and give where it lies")
        return parse_schema(content, data.manifest, uri)
    for place in schema_places(data):
        if (content := _read(place)) is not None:
            return parse_schema(content, data.manifest, place)
    return Contract()


def find_reference(given: str, store: Objects, model: str) -> Reference:
    """Return the profile of the served version's data, or of a record of ``validate_data``; none where none is asked.

    Raises:
        InputError: there is none at the URI, or it is no record of ``validate_data``.
    """
    if not given:
        return Reference()
    if given == SERVED:
        stable = find_document(store, alias_key(model, "stable"), Alias)
        record = stable and find_document(store, record_key(model, stable.version), Record)
        result = record and find_step(store, record.run, "validate_data")
        if record is None or not result:
            return Reference()
        return Reference(_report(result, given).splits, f"the data of {model} version {record.version}")
    home, key = _place(given)
    try:
        result = decode(StepResult, document_bytes(open_store(home), key), given)
    except NotFound as error:
        raise InputError(
            f"there is no profile at {given}; give the validate_data.json of a run, or {SERVED}"
        ) from error
    report = _report(result, given)
    return Reference(report.splits, f"{report.name} {report.digest[:23]}")


def _report(result: StepResult, where: str) -> DataReport:
    try:
        return converted(result.details, DataReport)
    except msgspec.ValidationError as error:
        raise InputError(f"{where} has no profile of data: {error}; give the validate_data.json of a run") from error


def _read(uri: str) -> bytes | None:
    home, key = _place(uri)
    try:
        return open_store(home).read(key, LARGEST)
    except NotFound:
        return None


def _place(given: str) -> tuple[str, str]:
    """Return the directory's URL and the name of a file at a URI or a path."""
    home, _, key = (given if "://" in given else Path(given).absolute().as_uri()).rpartition("/")
    return home, key
