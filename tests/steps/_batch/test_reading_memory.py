"""Memory while a part is read: four times the rows in one row group take no more of it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SCRIPT = """
import pathlib, re, sys
from colchis_steps._batch.reading import read
from colchis_steps._formats.data import Column, Shard
columns = [Column(f"c{i}", "double") for i in range(8)]
part = Shard("x", int(sys.argv[2]), 0, "", "parquet")
rows = sum(rows.count for rows in read(pathlib.Path(sys.argv[1]), part, columns, []))
print(rows, re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


def peak(path: Path, rows: int) -> int:
    """Return the most memory (KiB) that a process takes to read so many rows of 64 bytes."""
    random = np.random.default_rng(7)
    table = pa.table({f"c{i}": random.standard_normal(rows) for i in range(8)})
    pq.write_table(table, path, row_group_size=rows)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), str(rows)], capture_output=True, text=True, check=True, timeout=120
    )
    found, kib = map(int, done.stdout.split())
    assert found == rows
    return kib


@pytest.mark.servers
def test_memory_does_not_grow_with_a_row_group(tmp_path: Path) -> None:
    few, many = peak(tmp_path / "few", 400_000), peak(tmp_path / "many", 1_600_000)  # 24 and 98 MiB
    assert many < few + 16 * 1024
