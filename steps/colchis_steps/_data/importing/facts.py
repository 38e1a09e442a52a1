"""What is learnt of the columns while rows go by: nulls, bounds, lengths, media types; and what must not be in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from colchis_steps._data.importing.columns import leaf
from colchis_steps._formats.data import RAGGED, Column
from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

REFUSED = {"label": "a label", "weight": "a weight"}  # roles whose columns have a value in every row
MEDIA = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


@dataclass
class Odd:
    """Values of one kind that must not be: how many there are, and where the first is."""

    count: int = 0
    first: str = ""

    def add(self, count: int, where: str, row: int) -> None:
        """Count some in a batch, of which the first is in this row."""
        self.first = self.first or f"the first in row {row} of {where}"
        self.count += count


class Tally:
    """One column's facts."""

    def __init__(self, field: "pa.Field") -> None:
        self.field = field
        self.kind, self.shape = leaf(field.type)
        self.rows, self.nulls, self.infinite, self.inner = 0, Odd(), Odd(), Odd()
        self.minimum: float | None = None
        self.maximum: float | None = None
        self.shortest, self.longest = -1, 0
        self.media: set[str] = set()

    def add(self, values: Any, where: str, start: int) -> None:
        """Take in some rows, which begin at row ``start`` of their source."""
        import pyarrow as pa
        import pyarrow.compute as pc

        self.rows += len(values)
        if values.null_count:
            self.nulls.add(values.null_count, where, start + values.is_null().index(True).as_py())
        if RAGGED in self.shape:
            found = pc.min_max(pc.list_value_length(values))
            low, high = found["min"].as_py(), found["max"].as_py()
            if high is not None:
                self.shortest = low if self.shortest < 0 else min(low, self.shortest)
                self.longest = max(self.longest, high)
        inner = values
        while not pa.types.is_primitive(inner.type) and (
            pa.types.is_list(inner.type) or pa.types.is_fixed_size_list(inner.type)
        ):
            inner = inner.flatten()
        if self.shape:
            missing = inner.is_null(nan_is_null=True)
            if count := pc.sum(missing).as_py() or 0:
                self.inner.add(count, where, start + self._row(values, missing))
        if pa.types.is_integer(self.kind) or pa.types.is_floating(self.kind) or pa.types.is_decimal(self.kind):
            self._bounds(values, inner, where, start)
        if pa.types.is_binary(self.kind):
            self._media(inner)

    def _bounds(self, values: Any, inner: Any, where: str, start: int) -> None:
        import math

        import pyarrow as pa
        import pyarrow.compute as pc

        found = pc.min_max(inner)
        low, high = found["min"].as_py(), found["max"].as_py()
        if low is None:
            return
        low, high = float(low), float(high)
        if pa.types.is_floating(self.kind) and (math.isinf(low) or math.isinf(high)):
            odd = pc.is_inf(inner)
            self.infinite.add(pc.sum(odd).as_py(), where, start + self._row(values, odd))
            return
        self.minimum = low if self.minimum is None else min(low, self.minimum)
        self.maximum = high if self.maximum is None else max(high, self.maximum)

    def _row(self, values: Any, odd: Any) -> int:
        """Return the row that has the first of the values in its lists that are odd."""
        import pyarrow.compute as pc

        place: int = odd.index(True).as_py()
        if RAGGED in self.shape:
            row: int = pc.list_parent_indices(values)[place // max(1, prod(self.shape[1:]))].as_py()
            return row
        return place // max(1, prod(self.shape))

    def _media(self, inner: Any) -> None:
        import pyarrow.compute as pc

        for begin in pc.unique(pc.binary_slice(inner.drop_null(), 0, 4))[:64].to_pylist():
            self.media.add(next((media for magic, media in MEDIA.items() if begin.startswith(magic)), ""))

    def column(self, role: str) -> Column:
        """Return the column as the manifest has it."""
        shape, longest = self.shape, self.longest
        if shape[:1] == (RAGGED,) and self.shortest == longest > 0 and not self.nulls.count and not _is_text(self.kind):
            shape, longest = (longest, *shape[1:]), 0  # lists that are all of one length are vectors
        media = "" if "" in self.media or not self.media else min(self.media) if len(self.media) == 1 else "image/*"
        return Column(
            name=self.field.name,
            type=str(self.kind),
            shape=shape,
            role=role,
            nullable=bool(self.nulls.count),
            media=media,
            minimum=self.minimum,
            maximum=self.maximum,
            longest=longest if RAGGED in shape else 0,
        )


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


class Facts:
    """All columns' facts."""

    def __init__(self, schema: "pa.Schema", roles: Mapping[str, str], needed: Mapping[str, str]) -> None:
        self.tallies = {field.name: Tally(field) for field in schema}
        self.roles = roles
        self.needed = needed  # columns that must have a value in every row, and what each then is

    def add(self, batch: "pa.RecordBatch", where: str, start: int) -> None:
        """Take in some rows, which begin at row ``start`` of their source."""
        for name, tally in self.tallies.items():
            tally.add(batch.column(name), where, start)

    def check(self) -> None:
        """Refuse what no training can use.

        Raises:
            InputError: a column has infinity, a label or weight is null, or a list holds nothing where a value is due.
        """
        for name, tally in self.tallies.items():
            if tally.infinite.count:
                raise InputError(
                    f"column {name!r} has {tally.infinite.count} values that are infinite, {tally.infinite.first}; "
                    "give finite numbers, or leave out such rows"
                )
            if tally.inner.count:
                raise InputError(
                    f"column {name!r} has lists with {tally.inner.count} values that are null or NaN, "
                    f"{tally.inner.first}; fill them, or leave out such rows"
                )
            if tally.nulls.count and name in self.needed:
                raise InputError(
                    f"column {name!r} has {tally.nulls.count} nulls, {tally.nulls.first}, and is {self.needed[name]}; "
                    "fill them, or leave out such rows"
                )
            if self.roles.get(name) == "weight" and (tally.minimum is None or tally.minimum < 0):
                raise InputError(f"column {name!r} has weights from {tally.minimum}; give numbers of at least 0")

    def columns(self) -> tuple[Column, ...]:
        """Return the columns as the manifest has them; those without any value are ignored."""
        return tuple(
            tally.column("ignored" if tally.nulls.count == tally.rows else self.roles.get(name, "feature"))
            for name, tally in self.tallies.items()
        )

    @property
    def empty(self) -> tuple[str, ...]:
        """The columns without any value."""
        return tuple(name for name, tally in self.tallies.items() if tally.nulls.count == tally.rows)
