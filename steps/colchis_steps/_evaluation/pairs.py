"""What two models did on the same rows, made into what the tests of ``statistics`` take."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Pair:
    """Results of two models by row, structured arrays of ``results.KINDS[kind]`` in the same order.

    ``begin`` is where draws begin; ``groups`` are numbers of rows that belong together; ``parts`` are rows of parts of
    the data by name, bool [rows].
    """

    kind: str
    classes: tuple[str, ...]
    candidate: "Array"
    baseline: "Array"
    begin: int
    groups: "Array | None" = None
    parts: "Mapping[str, Array]" = field(default_factory=dict)
    same: bool = False  # both are the very same files

    @property
    def weight(self) -> "Array":
        """How much each row counts."""
        found: Array = self.candidate["weight"].astype("f8")
        return found

    def where(self, part: str) -> "Array | None":
        """Return the rows of a part of the data, also of a class by its label; None where there is no such part."""
        if part in self.parts:
            return self.parts[part]
        name = part.removeprefix("label=")
        if self.kind != "classification" or name == part or name not in self.classes:
            return None
        found: Array = self.candidate["label"] == self.classes.index(name)
        return found

    def of(self, rows: "Array") -> "Pair":
        """Return some of the rows."""
        groups = self.groups[rows] if self.groups is not None else None
        return Pair(
            self.kind, self.classes, self.candidate[rows], self.baseline[rows], self.begin, groups, {}, self.same
        )

    @property
    def equal(self) -> bool:
        """Whether both models did the same on all rows."""
        return self.same or self.candidate.tobytes() == self.baseline.tobytes()
