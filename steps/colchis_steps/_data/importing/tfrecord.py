"""TFRecord of tf.train.Example: framed here, parsed by TensorFlow, some records at a time."""

import struct
from collections import defaultdict
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from colchis_steps._data.importing.delimited import Unpacked
from colchis_steps._data.importing.files import File
from colchis_steps._data.importing.kinds import masked
from colchis_steps._data.importing.tables import BATCH, Table
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

FIRST = 1000  # records by which kinds and lengths are found
RECORDS = 4096  # that are parsed at a time
LONGEST = 256 << 20  # bytes of a record


def table(file: File, packed: str) -> Table:
    """Return the table of the records: a feature is a column, with the kind and length that the first records have.

    Raises:
        InputError: TensorFlow is absent, or the file is damaged, empty, or holds other records.
    """
    schema = _schema(file, packed)

    def batches(wanted: "pa.Schema") -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa

        kinds, row = [schema.field(name) for name in wanted.names], 0
        for records in _some(file, packed):
            parsed = _parsed(records, kinds, file.where)
            yield pa.record_batch([_array(parsed[f.name], f, file.where, row) for f in kinds], pa.schema(kinds))
            row += len(records)

    return Table(file.where, schema, file.size, batches, file.split)


def _tensorflow() -> Any:
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise InputError("TFRecord is read with TensorFlow, which is absent; pip install 'colchis[train]'") from error
    return tf


def _schema(file: File, packed: str) -> "pa.Schema":
    import pyarrow as pa

    tf = _tensorflow()
    from google.protobuf.message import DecodeError

    first = list(islice(_records(file, packed), FIRST))
    if not first:
        raise InputError(f"{file.where} has no records; get it anew, or leave it out")
    kinds, lengths, text = dict[str, str](), defaultdict[str, set[int]](set), dict[str, bool]()
    for record in first:
        try:
            features = tf.train.Example.FromString(record).features.feature
        except DecodeError as error:
            raise InputError(f"{file.where} holds records that are not of tf.train.Example; write such") from error
        for name in kinds.keys() - features.keys():
            lengths[name].add(0)
        for name, feature in features.items():
            if kind := feature.WhichOneof("kind"):
                kinds.setdefault(name, kind)
                values = getattr(feature, kind).value
                lengths[name].add(len(values))
                if kind == "bytes_list":
                    text[name] = text.get(name, True) and all(map(_is_text, values))
    if not kinds:
        raise InputError(f"{file.where} holds records without features; write tf.train.Example")
    plain = {"int64_list": pa.int64(), "float_list": pa.float32(), "bytes_list": pa.binary()}
    fields = []
    for name in sorted(kinds):
        kind = pa.string() if text.get(name) else plain[kinds[name]]
        found = lengths[name]
        if not found <= {0, 1}:
            kind = pa.list_(kind, next(iter(found))) if len(found) == 1 else pa.list_(kind)
        fields.append(pa.field(name, kind))
    return pa.schema(fields)


def _some(file: File, packed: str) -> "Iterator[list[bytes]]":
    found: list[bytes] = []
    size = 0
    for record in _records(file, packed):
        found.append(record)
        size += len(record)
        if len(found) == RECORDS or size >= BATCH:
            yield found
            found, size = [], 0
    if found:
        yield found


def _records(file: File, packed: str) -> "Iterator[bytes]":
    """Yield the records: length, its checksum, the bytes, their checksum. Raises InputError where one is damaged."""
    from awscrt.checksums import crc32c

    content: IO[bytes] = Unpacked(file, packed) if packed else file.open()  # type: ignore[assignment]
    with content:
        number = 0
        while head := content.read(12):
            length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else LONGEST + 1
            if length > LONGEST or masked(crc32c(head[:8])) != struct.unpack("<I", head[8:])[0]:
                raise _damaged(file.where, number)
            record = content.read(length)
            foot = content.read(4)
            if len(foot) < 4 or masked(crc32c(record)) != struct.unpack("<I", foot)[0]:
                raise _damaged(file.where, number)
            yield record
            number += 1


def _damaged(where: str, number: int) -> InputError:
    return InputError(f"{where} is damaged or truncated at record {number}; get it anew")


def _parsed(records: "Sequence[bytes]", fields: "Sequence[pa.Field]", where: str) -> "Mapping[str, Any]":
    import pyarrow as pa

    tf = _tensorflow()

    def kind(field: "pa.Field") -> Any:
        found = field.type.value_type if pa.types.is_nested(field.type) else field.type
        floating, whole = pa.types.is_floating(found), pa.types.is_integer(found)
        return tf.float32 if floating else tf.int64 if whole else tf.string

    with tf.device("CPU"):
        try:
            found: Mapping[str, Any] = tf.io.parse_example(
                tf.constant(records), {f.name: tf.io.RaggedFeature(kind(f)) for f in fields}
            )
        except tf.errors.InvalidArgumentError as error:
            raise InputError(
                f"{where} has records whose features are of another kind than the first ({str(error)[:128]}); write "
                "all alike"
            ) from error
    return found


def _array(values: Any, field: "pa.Field", where: str, row: int) -> "pa.Array":
    """Return a ragged tensor [rows, any] as an array of the field's type."""
    import numpy as np
    import pyarrow as pa

    splits = values.row_splits.numpy()
    lengths = np.diff(splits)
    nested = pa.types.is_nested(field.type)
    leaf = field.type.value_type if nested else field.type
    flat = values.values.numpy()
    inner = pa.array(flat.tolist(), pa.binary()).cast(leaf) if flat.dtype.kind == "O" else pa.array(flat, leaf)
    if pa.types.is_list(field.type):
        return pa.ListArray.from_arrays(pa.array(splits, pa.int32()), inner)
    most = field.type.list_size if nested else 1
    odd = (lengths != most) if nested else lengths > 1
    if odd.any():
        first = int(np.flatnonzero(odd)[0])
        raise InputError(
            f"{where}: {field.name!r} has {lengths[first]} values in record {row + first} and {most} in the first "
            "ones; write all alike"
        )
    if nested:
        return pa.FixedSizeListArray.from_arrays(inner, most)
    return inner.take(pa.array(splits[:-1], mask=lengths == 0))


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in value
