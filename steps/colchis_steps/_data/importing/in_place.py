"""Parquet that stays where it lies: a part is its file, by its URL and sha256."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._data.importing.columns import plain
from colchis_steps._data.importing.dividing import Way
from colchis_steps._data.importing.division import NAMES
from colchis_steps._data.importing.parts import Made
from colchis_steps._data.importing.tables import Table
from colchis_steps._formats.data import Shard, Source, Split
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class InPlace:
    """Counts the rows of files that each belong to one split.

    Raises:
        InputError: they do not, are no Parquet that can stay, or would have to be changed.
    """

    def __init__(self, tables: Sequence[Table], schema: "pa.Schema", way: Way) -> None:
        if way.told.way != "given" or way.told.by or len(way.told.shares) > 1:
            raise InputError(
                "--in-place leaves files as they are, so each belongs to one split: give --from train=…, --from eval=… "
                "and --from test=…, or name files or folders so"
            )
        for table in tables:
            if not table.uri:
                raise InputError(f"--in-place leaves Parquet where it lies, and {table.where} is none that can stay")
            for field in schema:
                found = plain(field.name, table.schema.field(field.name).type, table.where)
                if found != field.type:
                    raise InputError(
                        f"--in-place: column {field.name!r} of {table.where} is {found}, and {field.type} is wanted; "
                        "import without --in-place"
                    )
        self.tables = tables
        self.rows, self.digests = [0] * len(NAMES), [hashlib.sha256() for _ in NAMES]

    def add(self, _batch: "pa.RecordBatch", split: Any, _features: Any, rows: "np.ndarray[Any, Any]") -> None:
        """Take in rows of one file, by their splits and hashes, in the order of the files."""
        number = int(split[0]) if len(split) else 0
        self.rows[number] += len(rows)
        self.digests[number].update(rows.astype("<u8").tobytes())

    def flush(self) -> None:
        """Nothing waits."""

    def parts(self, sources: Mapping[str, Source], counts: Mapping[str, int]) -> dict[str, Made]:
        """Return the parts of each split; the sources and the counts of their rows are by what sentences call them."""
        found: dict[str, list[Shard]] = {name: [] for name in NAMES}
        for table in self.tables:
            source, own = sources[table.where], found[table.split]
            name = f"{table.split}-{len(own):05}.parquet"
            own.append(Shard(name, counts[table.where], source.size, source.sha256, "parquet", table.uri))
        return {
            name: Made(Split(self.rows[i], f"sha256:{self.digests[i].hexdigest()}", tuple(found[name])), ())
            for i, name in enumerate(NAMES)
        }
