"""Which parts are to be predicted: those of a data set, or files of Parquet; each is known by its sha256."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from colchis_steps._batch.place import PLAN, find_plan
from colchis_steps._batch.version import Chosen
from colchis_steps._data.dataset import read_manifest
from colchis_steps._formats.batch import Input, Plan
from colchis_steps._formats.data import DataManifest, Shard
from colchis_steps._formats.documents import canonical_digest, encode, now
from colchis_steps._formats.keys import DATA_MANIFEST
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.opening import open_store

ROW = "row"  # the column of the rows' numbers, where there is no key
OURS = {  # columns of the predictions by task, or how they begin
    "classification": ("prediction", "probability"),
    "multilabel": ("probability_",),
    "regression": ("value",),
}


def place_of(text: str) -> str:
    """Return the URI of a data set, a directory or a file that is given as a URI or a path."""
    return text if "://" in text else Path(text).absolute().as_uri()


def planned(chosen: Chosen, source: str, splits: Sequence[str], keys: Sequence[str]) -> Plan:
    """Return what is to be predicted; the keys of a data set are its columns of that role, unless some are given.

    Raises:
        InputError: there is nothing, or it cannot be told where it is.
    """
    data = _data_set(source)
    if data:
        shards, digest = list(_shards(data, splits, source)), data.digest
        keys = keys or [column.name for column in data.of_role("key")]
        _check_keys(data, keys, source)
    else:
        if splits:
            raise InputError(f"{source} is not a data set, and only such have splits; leave out --split")
        shards = [("", shard) for shard in _files(source)]
        digest = canonical_digest([shard.sha256 for _, shard in shards])
    for key in keys:
        if any(key == own or (own.endswith("_") and key.startswith(own)) for own in OURS.get(chosen.task.kind, ())):
            raise InputError(f"the key {key!r} has the name of a column of predictions; rename it in the data")
    found, first = list[Input](), 0
    for split, shard in shards:
        if shard.rows:
            found.append(Input(shard, first, split))
            first += shard.rows
    if not found:
        raise InputError(f"{source} holds no rows to predict; give data that have some")
    return Plan(
        model=chosen.manifest.model,
        version=chosen.manifest.version,
        tree=chosen.manifest.tree,
        data=source,
        data_digest=digest,
        task=chosen.task,
        columns=chosen.columns,
        keys=tuple(keys),
        inputs=tuple(found),
        created_at=now(),
    )


def plan_at(to: Objects, wanted: Plan) -> Plan:
    """Write the plan, or return the one that is there, which must be the same but for its time.

    Raises:
        InputError: other predictions lie there, or other files.
    """
    there = find_plan(to)
    if there is None:
        if other := next(iter(to.keys("")), None):
            raise InputError(f"{to.url} is not empty: it holds {other!r}; give --to a place of its own")
        if to.create(PLAN, encode(wanted)):
            return wanted
        there = find_plan(to) or wanted
    if what := _difference(there, wanted):
        raise InputError(
            f"{to.url} has predictions of {there.model} version {there.version} on {there.data}, with {what}; "
            "give --to another place, or remove them"
        )
    return there


def _difference(there: Plan, wanted: Plan) -> str:
    for name, what in (("model", "another model"), ("tree", "other files"), ("keys", "other keys")):
        if getattr(there, name) != getattr(wanted, name):
            return what
    before, now_ = ([one.shard.sha256 for one in plan.inputs] for plan in (there, wanted))
    return "" if before == now_ else "other rows"


def _data_set(source: str) -> DataManifest | None:
    if source.endswith(".parquet"):
        return None
    try:
        return read_manifest(open_store(source), source)
    except NotFound:
        return None


def _shards(data: DataManifest, splits: Sequence[str], source: str) -> Iterator[tuple[str, Shard]]:
    for split in splits or data.splits:
        if split not in data.splits:
            raise InputError(f"{source} has no split {split[:64]!r}, only {', '.join(data.splits)}; name one of them")
        for shard in data.splits[split].parts:
            yield split, shard


def _check_keys(data: DataManifest, keys: Sequence[str], source: str) -> None:
    for key in keys:
        if key not in data.by_name or data.by_name[key].shape:
            known = ", ".join(column.name for column in data.columns if not column.shape)
            raise InputError(f"{source} has no column {key[:64]!r} of single values; the others are {known}")


def _files(source: str) -> list[Shard]:
    """Return the files of Parquet in a directory, or the one that is named, each read once for its digest."""
    top, name = source.rsplit("/", 1) if source.endswith(".parquet") else (source, "")
    store = open_store(top)
    names = [unquote(name)] if name else [key for key in store.keys("") if key.endswith(".parquet") and _shown(key)]
    if not names:
        raise InputError(
            f"{source} holds neither a data set ({DATA_MANIFEST}) nor files *.parquet; import other formats with "
            "`colchis data import`"
        )
    return [_file(store, key) for key in names]


def _shown(key: str) -> bool:
    """Return whether readers of a directory of Parquet take the file for rows, and not for somebody's notes."""
    return not any(part.startswith(("_", ".")) for part in key.split("/"))


def _file(store: Objects, key: str) -> Shard:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.NamedTemporaryFile(suffix=".parquet") as copy:
        digest = hashlib.sha256()
        for block in store.stream(key):
            digest.update(block)
            copy.write(block)
        copy.flush()
        try:
            rows = pq.read_metadata(copy.name).num_rows
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{store.url}/{key} is no file of Parquet ({str(error)[:128]}); make it anew") from error
        return Shard(key, rows, copy.tell(), digest.hexdigest(), "parquet", f"{store.url.rstrip('/')}/{quote(key)}")
