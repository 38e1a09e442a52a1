"""Parquet: read by row group and page, never whole."""

from typing import TYPE_CHECKING, Any

from colchis_steps._data.importing.files import File
from colchis_steps._data.importing.tables import BATCH, ROWS, Table
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

BUFFER = 1 << 20  # bytes that are read of a column at a time


def table(file: File) -> Table:
    """Return the table of a Parquet file, by its footer.

    Raises:
        InputError: it is damaged or truncated, has no row, or two columns of one name.
    """
    import pyarrow as pa

    with file.open() as content:
        found = _opened(content, file.where)
        schema, metadata = pa.schema(list(found.schema_arrow)), found.metadata
    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise InputError(f"{file.where} has two columns {twice[0]!r}; rename one of them")
    if not metadata.num_rows:
        raise InputError(f"{file.where} has no rows; get it anew, or leave it out")
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    rows = max(1, min(ROWS, BATCH * metadata.num_rows // max(1, size)))

    def batches(wanted: "pa.Schema") -> "Iterator[pa.RecordBatch]":
        with file.open() as content:
            try:
                stream = _opened(content, file.where).iter_batches(rows, columns=wanted.names, use_threads=False)
                for batch in stream:
                    yield batch.select(wanted.names)
            except (OSError, pa.ArrowException) as error:
                raise _damaged(file.where, error) from error

    return Table(file.where, schema, file.size, batches, file.split, file.uri, size)


def _opened(content: Any, where: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(content, pre_buffer=False, buffer_size=BUFFER)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(where, error) from error


def _damaged(where: str, error: Exception) -> InputError:
    return InputError(f"{where} is damaged or truncated ({str(error)[:256]}); get it anew")
