"""Memory while a data set streams by: four times the shards take no more of it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.steps.training_data import COLUMNS, shard_of, write_manifest

SCRIPT = """
import pathlib, re, sys
from colchis_steps._data import dataset, reader
reader.KEPT = 1 << 20
rows = 0
for epoch in (1, 2):
    for batch in dataset.open_data(sys.argv[1]).batches("train", 64, seed=1, epoch=epoch, rank=1, workers=2):
        rows += int(batch.weights.sum())
print(rows, re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


def peak(directory: Path, shards: int) -> int:
    """Return the most memory (KiB) that a process takes for two epochs over so many shards of 384 KiB."""
    directory.mkdir()
    columns: dict[str, np.ndarray] = {"image": np.zeros((16384, 4, 4), np.uint8), "label": np.zeros(16384, np.int64)}
    train = tuple(shard_of(directory, f"train-{i:05}.npz", columns) for i in range(shards))
    write_manifest(directory, {"train": train, "eval": train[:1], "test": train[:1]}, COLUMNS)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, directory.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    rows, kib = map(int, done.stdout.split())
    assert rows == shards * 16384  # a half of each of two epochs
    return kib


@pytest.mark.servers
def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    few, many = peak(tmp_path / "few", 48), peak(tmp_path / "many", 192)  # 18 and 72 MiB
    assert many < few + 3072
