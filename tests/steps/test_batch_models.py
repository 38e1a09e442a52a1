"""Predictions by real SavedModels, in processes that are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.steps.batch_site import write_shard
from tests.steps.registered import put_on_record

from colchis_steps._content.storing import store_directory
from colchis_steps._formats.data import Column, DataManifest, Division, Split, Task, data_digest
from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.models import Alias, Manifest, tree_digest
from colchis_steps._store.opening import open_store

pytestmark = [pytest.mark.servers, pytest.mark.tensorflow]
COLUMNS = (Column("scale", "float"), Column("text", "string"))  # the model multiplies the one with the other's length
PARTS, ROWS = 12, 4000


@pytest.fixture
def command(tmp_path: Path, exported: Path) -> list[str]:
    store = open_store((tmp_path / "store").as_uri())
    data = DataManifest("texts", "", Task("none"), COLUMNS, {}, Division("given"), now())
    parts = []
    for number in range(PARTS):
        rows = np.arange(number * ROWS, (number + 1) * ROWS)
        table = pa.table({"scale": rows.astype(np.float32), "text": ["ä" * (n % 5) for n in rows]})
        parts.append(write_shard(store, f"data/texts/1/{number}.arrow", table))
    data.splits = {"test": Split(PARTS * ROWS, "", tuple(parts))}
    data.digest = data_digest(data)
    store.write("data/texts/1/manifest.json", encode(data))
    files = tuple(store_directory(store, exported / "two").files)
    manifest = Manifest("lengths", 1, "r", files, tree_digest(files), now())
    put_on_record(store, manifest, "registry/lengths@sha256:1", data="data/texts/1")
    store.write("models/lengths/aliases/stable.json", encode(Alias("lengths", 1, now())))
    where = [f"--from={store.url}/data/texts/1", f"--to={tmp_path / 'to'}", f"--store={store.url}"]
    return [sys.executable, "-m", "colchis_steps.batch", "lengths", *where]


def check(to: Path) -> None:
    found = pq.read_table(to).sort_by("row").to_pydict()
    assert found["row"] == list(range(PARTS * ROWS))
    assert found["length"] == [n * 2.0 * (n % 5) for n in range(PARTS * ROWS)]  # in bytes


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
