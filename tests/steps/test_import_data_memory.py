"""Memory of an import: four times the rows take no more of it."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import pathlib, re, sys
from colchis_steps._data.importing import parts, spill
from colchis_steps.import_data import main
spill.CHUNK, spill.ROOM, spill.BUCKET, parts.PART = 1 << 20, 2 << 20, 1 << 20, 4 << 20
assert main(["own", f"--from={sys.argv[1]}", f"--to={sys.argv[2]}"]) == 0
print(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


def peak(directory: Path, rows: int) -> int:
    """Return the most memory (KiB) that the import of so many rows, of about 45 bytes each, takes."""
    directory.mkdir()
    with (directory / "t.csv").open("w") as file:
        file.write("a,b,word,label\n")
        file.writelines(f"{i * 7919 % 100003},{i / 7},word{i % 1009},{'ab'[i % 2]}\n" for i in range(rows))
    words = [sys.executable, "-c", SCRIPT, str(directory / "t.csv"), (directory / "store").as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    return int(done.stdout.split()[-1])


@pytest.mark.servers
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    few, many = peak(tmp_path / "few", 500_000), peak(tmp_path / "many", 2_000_000)  # 19 and 76 MB
    assert many < few + (48 << 10)  # of 57 MB more, in a form that takes more
