"""Imports of files that tests write."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colchis_steps._data.dataset import DataSet, open_data
from colchis_steps.import_data import main


class Importer:
    """Imports into a store of the test's own."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
        self.directory, self.capsys, self.caplog = directory, capsys, caplog
        self.store = directory / "store"
        caplog.set_level(logging.INFO, "colchis")

    def write(self, name: str, content: bytes | str) -> Path:
        """Write a file; return its path."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def does(self, *flags: object) -> DataSet:
        """Import, and open the data set."""
        words = [flag if str(flag).startswith("-") else f"--from={flag}" for flag in flags]
        code = main(["own", f"--to={self.store.as_uri()}", *map(str, words)])
        assert code == 0, self.caplog.text
        return open_data(self.capsys.readouterr().out.strip())

    def refuses(self, *flags: object) -> str:
        """Import what is refused; return the sentence. Nothing is in the store."""
        words = [flag if str(flag).startswith("-") else f"--from={flag}" for flag in flags]
        before = sorted(self.store.rglob("*"))
        self.caplog.clear()
        assert main(["own", f"--to={self.store.as_uri()}", *map(str, words)]) == 65, self.caplog.text
        assert sorted(self.store.rglob("*")) == before
        (sentence,) = [record.getMessage() for record in self.caplog.records if record.levelname == "ERROR"]
        return str(sentence)


def read(data: DataSet) -> dict[str, Any]:
    """Return all rows of all splits, as readers give them."""
    parts = list(parts_of(data))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def parts_of(data: DataSet) -> Iterator[dict[str, Any]]:
    """Yield the arrays of each part."""
    for split in data.manifest.splits.values():
        for part in split.parts:
            yield data.read(part)
