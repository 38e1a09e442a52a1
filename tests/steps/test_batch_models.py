"""Predictions by real SavedModels, in processes that are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.steps.batch_site import lengths, publish_lengths, write_shard

from colchis_steps._formats.data import Split
from colchis_steps._store.opening import open_store

pytestmark = [pytest.mark.servers, pytest.mark.tensorflow]
PARTS, ROWS = 12, 4000


@pytest.fixture
def command(tmp_path: Path, exported: Path) -> list[str]:
    store = open_store((tmp_path / "store").as_uri())
    parts = tuple(
        write_shard(store, f"data/texts/1/{n}.arrow", lengths(n * ROWS, ROWS).drop_columns(["id"]))
        for n in range(PARTS)
    )
    data = publish_lengths(store, exported / "two", {"test": Split(PARTS * ROWS, "", parts)})
    where = [f"--from={data}", f"--to={tmp_path / 'to'}", f"--store={store.url}"]
    return [sys.executable, "-m", "colchis_steps.batch", "lengths", *where]


def check(to: Path) -> None:
    found = pq.read_table(to).sort_by("row").to_pydict()
    assert found["row"] == list(range(PARTS * ROWS))
    assert found["length"] == [n * 2.0 * (n % 5) for n in range(PARTS * ROWS)]  # in bytes


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_batch_goes_on(command: list[str], tmp_path: Path, workers: int) -> None:
    to, deadline = tmp_path / "to", time.monotonic() + 120
    command = [*command, f"--workers={workers}"]
    first = subprocess.Popen(command, start_new_session=True)
    while len(list(to.glob("_parts/*.json"))) < 2:
        assert first.poll() is None, "it is through before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = {path.name: path.stat().st_mtime_ns for path in to.glob("_parts/*.json")}
    assert 2 <= len(before) < PARTS
    assert not (to / "_manifest.json").exists()
    subprocess.run(command, check=True, timeout=120)
    after = {path.name: path.stat().st_mtime_ns for path in to.glob("_parts/*.json")}
    assert before.items() <= after.items()
    check(to)


def test_a_process_that_fails_tells_the_others_end(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "store/data/texts/1/3.arrow"
    path.write_bytes(path.read_bytes()[:-100])
    found = subprocess.run([*command, "--workers=2"], capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 65
    assert "3.arrow has" in found.stderr
    assert "process 1 of 2 ended with 65; the last line of its log says why" in found.stderr
