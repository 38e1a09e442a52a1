"""Arrow IPC, as a file (Feather) or a stream."""

from typing import TYPE_CHECKING, BinaryIO

from colchis_steps._data.importing.files import File
from colchis_steps._data.importing.tables import BATCH, ROWS, Table
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


def table(file: File) -> Table:
    """Return the file's table. Raises InputError where it is damaged, or has two columns of one name."""
    import pyarrow as pa

    try:
        with file.open() as content:
            schema = pa.schema(list(_opened(content)[0]))
    except (OSError, pa.ArrowException) as error:
        raise _damaged(file.where, error) from error
    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise InputError(f"{file.where} has two columns {twice[0]!r}; rename one of them")

    def batches(wanted: "pa.Schema") -> "Iterator[pa.RecordBatch]":
        with file.open() as content:
            try:
                for batch in _opened(content)[1]:
                    batch.validate(full=True)
                    step = max(1, min(ROWS, BATCH * len(batch) // max(1, batch.nbytes)))
                    for at in range(0, len(batch), step):
                        yield batch.slice(at, step).select(wanted.names)
            except (OSError, pa.ArrowException) as error:
                raise _damaged(file.where, error) from error

    return Table(file.where, schema, file.size, batches, file.split)


def _opened(content: BinaryIO) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
    import pyarrow as pa

    head = content.read(6)
    content.seek(0)
    if head != b"ARROW1":
        stream = pa.ipc.open_stream(content)
        return stream.schema, iter(stream)
    found = pa.ipc.open_file(content)
    return found.schema, (found.get_batch(i) for i in range(found.num_record_batches))


def _damaged(where: str, error: Exception) -> InputError:
    return InputError(f"{where} is damaged or truncated ({str(error)[:256]}); get it anew")
