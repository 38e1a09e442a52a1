"""Which version predicts, and what it was trained on."""

from typing import NamedTuple

from colchis_steps._data.dataset import read_manifest
from colchis_steps._formats.data import Column, Task
from colchis_steps._formats.keys import alias_key, candidate_key
from colchis_steps._formats.models import Alias, Candidate, Manifest, Record
from colchis_steps._models.versions import published
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import find_document
from colchis_steps._store.opening import open_store


class Chosen(NamedTuple):
    """A version that the gate has passed, and the task and the features of the data that it was trained on.

    Of one that was adopted without data the task is what was said of it, and the features are its inputs.
    """

    manifest: Manifest
    record: Record
    task: Task
    columns: tuple[Column, ...]


def choose(store: Objects, model: str, wanted: str) -> Chosen:
    """Return the version that ``wanted`` names: a number, or an alias such as stable.

    Raises:
        InputError: there is none, the gate did not pass it, or the data that it was trained on are gone.
    """
    number = int(wanted) if wanted.isascii() and wanted.isdecimal() else _named(store, model, wanted)
    manifest, record = published(store, model, number, back=True)
    if not record.data and manifest.origin:
        return Chosen(
            manifest, record, Task(manifest.task or "none", (), manifest.classes or ()), _inputs(store, record)
        )
    try:
        data = read_manifest(open_store(record.data), record.data)
    except NotFound as error:
        raise InputError(
            f"{model} version {number} was trained on {record.data}, which is gone, and nothing else says which "
            "columns it takes; import the data again"
        ) from error
    return Chosen(manifest, record, data.task, data.of_role("feature"))


def _inputs(store: Objects, record: Record) -> tuple[Column, ...]:
    """Return the inputs of a version without data as columns; what is loaded is held against them."""
    import pyarrow as pa

    candidate = find_document(store, candidate_key(record.run), Candidate)
    if candidate is None or candidate.tree != record.tree:
        raise InputError(
            f"{record.model} version {record.version} was adopted without data by run {record.run}, which is gone, and "
            "nothing else says which columns it takes; adopt it again"
        )
    found = []
    for name, tensor in candidate.signature.get("inputs", {}).items():
        shape, dtype = tuple(tensor["shape"])[1:], str(tensor["dtype"])
        if None in shape:
            raise InputError(
                f"{record.model} version {record.version} takes {name} of the shape {list(shape)}, any length where "
                "there is null, and no data say which; adopt it with --data"
            )
        kind = pa.string() if dtype == "string" else pa.from_numpy_dtype(dtype)
        found.append(Column(name, str(kind), shape))
    return tuple(found)


def _named(store: Objects, model: str, alias: str) -> int:
    found = find_document(store, alias_key(model, alias), Alias)
    if found is None:
        raise InputError(
            f"{model} has no version {alias[:64]!r} in {store.url}; name stable, canary, latest or a number, as "
            "`colchis models` lists them"
        )
    return found.version
