"""Predict the parts of a plan that are not there yet, and put each beside its keys."""

import logging
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from colchis_steps._batch.answers import columns_of, not_finite
from colchis_steps._batch.place import find_written, part_digest, part_name, written_name
from colchis_steps._batch.planning import ROW
from colchis_steps._batch.reading import Rows, fetch, read
from colchis_steps._content.blobs import digest_of
from colchis_steps._content.fetching import fetch_files
from colchis_steps._data.arrays import as_read
from colchis_steps._formats.batch import Input, Plan, Predicted, Written
from colchis_steps._formats.data import Column
from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import tree_digest
from colchis_steps._models.versions import published
from colchis_steps._program.opening import open_model
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.opening import open_store
from colchis_steps._store.sums import Sums, read_sums
from colchis_steps._store.uris import absolute
from colchis_steps._tensors.tensor import Program, ValuesError, tensor_dtype

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

log = logging.getLogger("colchis")


def is_there(to: Objects, plan: Plan, number: int) -> bool:
    """Return whether the part is there as it was written: its bytes are read for that."""
    found = find_written(to, plan, number)
    if found is None:
        return False
    try:
        return digest_of(to, found.path, lambda _: None) == (found.size, found.sha256)
    except NotFound:
        return False


def work(store: Objects, to: Objects, plan: Plan, numbers: Iterable[int], allowed: Collection[str]) -> int:
    """Predict those of the numbered parts that are not there; return how many. Some rows at a time are in memory.

    Raises:
        InputError: the version or a part is damaged, or the two do not fit.
    """
    missing = [number for number in numbers if not is_there(to, plan, number)]
    if not missing:
        return 0
    with tempfile.TemporaryDirectory(prefix="colchis-batch-") as top:
        model = _loaded(store, plan, Path(top, "model"), allowed)
        works = _Works(store, plan, model, taken(model, plan))
        for number in missing:
            one, path = plan.inputs[number], Path(top, part_name(number))
            odd = works.predict(one, Path(top, "source"), path)
            sums = _put(to, path)
            found = Predicted(path.name, one.shard.rows, sums.size, sums.sha256, one.shard.sha256, one.split, odd)
            to.write(written_name(number), encode(Written(part_digest(plan, one), found)))
            log.info("%s: %d rows", found.path, found.rows)
    return len(missing)


def _loaded(store: Objects, plan: Plan, directory: Path, allowed: Collection[str]) -> Program:
    """Return the version, itself and its files verified: who may write the plan must not choose what is loaded."""
    manifest, _ = published(store, plan.model, plan.version, back=True)
    if tree_digest(manifest.files) != plan.tree:
        raise InputError(
            f"{plan.model} version {plan.version} is {tree_digest(manifest.files)}, and {plan.tree} was planned; "
            "give --to another place"
        )
    fetch_files(store, manifest.files, directory)
    return open_model(directory, allowed)


def taken(model: Program, plan: Plan) -> list[Column]:
    """Return the columns that the model takes, of those that it was trained with.

    Raises:
        InputError: it takes others, or takes them in another way.
    """
    known = as_read(plan.columns)
    for name, tensor in model.inputs.items():
        takes, has = f"{tensor.dtype}{[None, *tensor.shape[1:]]}", "none"
        if column := known.get(name):
            has = f"{tensor_dtype(column.dtype)}{[None, *column.shape]}"
        if takes != has:
            raise InputError(
                f"the model takes {name} as {takes}, and its data have {has}; "
                "predict with a version that was trained on such data"
            )
    return [column for column in plan.columns if as_read([column]).keys() & model.inputs.keys()]


class _Works(NamedTuple):
    """A loaded version, and what it is to predict."""

    store: Objects
    plan: Plan
    model: Program
    columns: list[Column]

    def predict(self, one: Input, source: Path, path: Path) -> int:
        """Write a part's predictions to the path; return how many rows have a number that is not finite."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        fetch(*located(self.store, self.plan, one), one.shard, source)
        writer, odd, done = None, 0, one.first
        try:
            for rows in read(source, one.shard, self.columns, self.plan.keys):
                answers = columns_of(self.plan.task, self._asked(rows, one, done - one.first), rows.count)
                odd += not_finite(answers)
                keys = rows.keys or {ROW: pa.array(range(done, done + rows.count), pa.int64())}
                if clash := next((name for name in answers if name in keys), ""):
                    raise InputError(f"the model's output {clash!r} has the name of the rows' key; rename one of them")
                table = pa.table(keys | answers)
                writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd", write_page_checksum=True)
                writer.write_table(table)
                done += rows.count
        finally:
            if writer:
                writer.close()
        return odd

    def _asked(self, rows: Rows, one: Input, first: int) -> "dict[str, Array]":
        try:
            return self.model.predict({name: rows.features[name] for name in self.model.inputs})
        except ValuesError as error:
            last = first + rows.count - 1
            raise InputError(
                f"{one.shard.path}, rows {first} to {last}: {error}; leave out or correct what it refuses"
            ) from error


def _put(to: Objects, path: Path) -> Sums:
    """Store a part, over what an attempt left that ended before it could say that the part is whole."""
    sums = read_sums(path)
    if not to.upload(path.name, path, sums=sums) and digest_of(to, path.name, lambda _: None)[1] != sums.sha256:
        to.delete(path.name)
        to.upload(path.name, path, sums=sums)
    path.unlink()
    return sums


def located(store: Objects, plan: Plan, one: Input) -> tuple[Objects, str]:
    """Return where a part of the input lies: a store and a key."""
    if not one.shard.uri:
        return open_store(plan.data), one.shard.path
    top, _, name = absolute(store, one.shard.uri).rpartition("/")
    return open_store(top), unquote(name)
