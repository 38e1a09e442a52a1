"""Two runs of one model that overlap: both are judged before either is published, and the worse never replaces."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.cluster.beside import free_port

from colchis_steps._formats.keys import alias_key, record_key, result_key
from colchis_steps._formats.models import Alias, Record
from colchis_steps._formats.runs import StepResult
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]
COLCHIS = [sys.executable, "-m", "colchis_workflows.cli"]
GOOD = {"epochs": 4, "global_batch": 64, "seed": 1, "learning_rate": 0.01}
POOR = {"epochs": 1, "global_batch": 256, "seed": 2, "learning_rate": 0.0001}


class Home:
    """A directory with a store, and the runs that are started there."""

    def __init__(self, path: Path) -> None:
        self.path, self.store = path, open_store((path / "store").as_uri())
        port = str(free_port("127.0.0.1"))
        self.environment = {**os.environ, "COLCHIS_HOME": str(path), "COLCHIS_PORT": port, "NO_COLOR": "1"}

    def colchis(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [*COLCHIS, *words]
        return subprocess.run(command, check=False, env=self.environment, capture_output=True, text=True, timeout=400)

    def together(self, runs: dict[str, dict[str, float]], model: str, data: list[str]) -> dict[str, int]:
        """Run them side by side, none of them publishing before all are judged; return their exit codes."""
        lock = self.path / "locks" / f"colchis-{model}"
        lock.parent.mkdir(exist_ok=True)
        given, of = {"model": model, "workers": "1"}, dict(zip(runs, data, strict=True))
        given["thresholds"] = '{"accuracy": {"min": 0.01, "min_change": -0.01}}'
        flags = [f"--set={name}={value}" for name, value in given.items()]

        def run(name: str) -> int:
            own = [f"--set=data={of[name]}", f"--set=hyperparameters={json.dumps(runs[name])}"]
            done = self.colchis("run", f"--run={name}", *flags, *own)
            assert done.returncode in {0, 3}, done.stderr[-4000:]
            return done.returncode

        with ThreadPoolExecutor(len(runs)) as pool:
            with lock.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                started = {name: pool.submit(run, name) for name in runs}
                end = time.monotonic() + 300
                while not all(self.waits(name) for name in runs):
                    assert time.monotonic() < end, "not all were judged in time"
                    for one in started.values():
                        assert not one.done() or one.result() == 0, "it ended before its turn"
                    time.sleep(0.1)
            return {name: one.result() for name, one in started.items()}

    def waits(self, run: str) -> bool:
        path = self.path / "runs" / run / "run.json"
        return path.exists() and "waits for mutex" in path.read_text()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("overlap"))
    yield made
    made.colchis("models", "stop")


@pytest.fixture(scope="module")
def data(home: Home) -> list[str]:
    """The same rows as two data sets: their shards differ, and so do their digests."""
    sizes = ("512", "300")
    found = [home.colchis("data", "import", "digits", "--to", home.store.url, f"--shard-rows={rows}") for rows in sizes]
    uris = [done.stdout.strip() for done in found]
    assert uris[0] != uris[1]
    return uris


def judged_against(store: Objects, run: str) -> int | None:
    result = read_document(store, result_key(run, "evaluate"), StepResult)
    found: int | None = result.details["baseline_version"]
    return found


def accuracy(store: Objects, run: str) -> float:
    return float(read_document(store, result_key(run, "evaluate"), StepResult).details["metrics"]["accuracy"])


def test_the_worse_of_two_never_replaces_the_better(home: Home, data: list[str]) -> None:
    """Whichever comes first: the other is judged again, against that one, on its own data."""
    codes = home.together({"good": GOOD, "poor": POOR}, "mixed", data)
    assert accuracy(home.store, "good") > accuracy(home.store, "poor") + 0.1
    stable = read_document(home.store, alias_key("mixed", "stable"), Alias)
    record = read_document(home.store, record_key("mixed", stable.version), Record)
    assert record.run == "good"
    assert codes["good"] == 0
    first = "poor" if codes["poor"] == 0 else "good"
    second = {"good": "poor", "poor": "good"}[first]
    assert (judged_against(home.store, first), judged_against(home.store, second)) == (None, 1)


@pytest.mark.long
def test_of_two_equal_ones_the_second_is_judged_against_the_first_and_serves(home: Home, data: list[str]) -> None:
    codes = home.together({"one": GOOD, "two": GOOD}, "equal", [data[0], data[0]])
    assert codes == {"one": 0, "two": 0}
    assert {judged_against(home.store, run) for run in codes} == {None, 1}
