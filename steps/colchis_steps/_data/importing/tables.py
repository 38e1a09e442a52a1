"""What each kind of file becomes when it is read: a schema, and batches of rows of bounded size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

ROWS = 1 << 16  # of a batch, at most
BATCH = 4 << 20  # bytes of a batch, about


@dataclass(frozen=True)
class Table:
    """Rows of one source. ``batches`` yields them with the types of the schema that it is given, in their order."""

    where: str  # what sentences call it
    schema: Any  # pyarrow.Schema, as it was found
    size: int  # bytes, of its files
    batches: Callable[[Any], Iterator[Any]]  # of a pyarrow.Schema: pyarrow.RecordBatch
    split: str = ""  # to which its rows go, where that was given
    uri: str = ""  # where it can stay; empty where it cannot
    expected: int = 0  # bytes of its rows, about; 0: as many as of its files


def columns_found(schema: Any) -> str:
    """Return the columns of a schema as sentences show them."""
    shown = [f"{field.name} {field.type}" for field in schema][:24]
    return ", ".join(shown) + (f" and {len(schema) - 24} more" if len(schema) > 24 else "")
