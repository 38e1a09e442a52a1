"""The results row by row, on their way to the store."""

from pathlib import Path

from colchis_steps._data.dataset import DataSet
from colchis_steps._evaluation.results import KINDS
from colchis_steps._evaluation.scoring import Rows
from colchis_steps._formats.keys import results_key
from colchis_steps._store.api import Objects
from colchis_steps._store.sums import read_sums


class Kept:
    """A NumPy file of what the model did, row by row; memory does not grow with the rows."""

    def __init__(self, data: DataSet, path: Path) -> None:
        import numpy as np

        self.path, self.at = path, 0
        self.file = np.lib.format.open_memmap(path, "w+", np.dtype(KINDS[data.task.kind]), (data.rows("test"),))

    def add(self, rows: Rows) -> None:
        """Take some rows."""
        self.file[self.at : self.at + len(rows.results)] = rows.results
        self.at += len(rows.results)

    def store(self, store: Objects, tree: str, data: str) -> str:
        """Put the file into the store, by what it is of; return its digest."""
        self.file.flush()
        sums = read_sums(self.path)
        digest = f"sha256:{sums.sha256}"
        store.upload(results_key(tree, data, digest), self.path, sums=sums)
        return digest
