"""Which rows of the test split belong together, and which to a part of the data, taken while they are scored."""

from typing import TYPE_CHECKING, Any

from colchis_steps._data.dataset import DataSet
from colchis_steps._evaluation.scoring import Rows
from colchis_steps._evaluation.slicing import BLOCK, Cut, parts_of

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


class Units:
    """Groups by the data's group column, numbers [rows], and parts by its slice columns, bool [rows] by name."""

    def __init__(self, data: DataSet, cuts: tuple[Cut, ...]) -> None:
        import numpy as np

        columns = data.manifest.of_role("group")
        self.column, self.cuts, self.at = columns[0].name if columns else "", cuts, 0
        self._values: list[Array] = []
        self.parts = {name: np.zeros(data.rows("test"), bool) for cut in cuts for name in cut.names}

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        for name, chosen in parts_of(self.cuts, rows.others):
            self.parts[name][self.at : self.at + len(chosen)] = chosen
        if self.column:
            self._values.append(rows.others[self.column])
        self.at += len(rows.labels)

    def read(self, data: DataSet) -> None:
        """Take all rows, where any column tells them apart; else nothing is read."""
        if not (self.column or self.cuts):
            return
        for batch in data.batches("test", BLOCK):
            labels = batch.labels[: batch.total]
            others = {name: values[: batch.total] for name, values in batch.others.items()}
            self.add(Rows({}, labels, labels, labels, labels, others))

    @property
    def groups(self) -> "Array | None":
        """The number of each row's group; None where the data have none."""
        import numpy as np

        if not self._values:
            return None
        numbers: Array = np.unique(np.concatenate(self._values), return_inverse=True)[1]
        return numbers
