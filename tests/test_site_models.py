"""From data to served on this machine: models of text, of a table, and of two inputs with a frozen base."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cluster.beside import free_port
from tests.steps.site_data import CASES, CODE, THRESHOLDS, assert_answers, write_base, write_data

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]
COLCHIS = [sys.executable, "-m", "colchis_workflows.cli"]


class Home:
    """A directory with a store and the user's code, and what runs there."""

    def __init__(self, path: Path) -> None:
        self.path, self.store = path, (path / "store").as_uri()
        port = str(free_port("127.0.0.1"))
        self.environment = {**os.environ, "COLCHIS_HOME": str(path), "COLCHIS_PORT": port, "NO_COLOR": "1"}

    def colchis(self, *words: str) -> str:
        """Run a command, which must succeed; return what it says on stdout."""
        done = subprocess.run(
            [*COLCHIS, *words], check=False, env=self.environment, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
        return done.stdout.strip()

    def document(self, name: str, key: str) -> Any:
        return json.loads((self.path / "store" / "runs" / name / key).read_text())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("home"))
    yield made
    made.colchis("models", "stop")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray[Any, Any]]]:
    """The directory of the user's code, and the weights of the frozen base in it."""
    directory = tmp_path_factory.mktemp("code")
    shutil.copy(CODE, directory)
    return directory, write_base(directory)


@pytest.mark.parametrize("name", CASES)
def test_it_goes_from_data_to_served_and_answers_by_names_and_text(
    home: Home, base: tuple[Path, dict[str, np.ndarray[Any, Any]]], name: str
) -> None:
    case = CASES[name]
    arguments = {
        "model": name,
        "data": write_data(home.store, name),
        "code": home.colchis("push-code", str(base[0]), "--store", home.store),
        "entry": case.entry,
        "workers": "2",
        "hyperparameters": json.dumps(case.hyperparameters),
        "thresholds": THRESHOLDS,
    }
    said = home.colchis("run", "--run", name, *(f"--set={key}={value}" for key, value in arguments.items()))
    outputs = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    assert (outputs["verdict"], outputs["version"]) == ("pass", "1"), said

    assert_answers(case, outputs["endpoint"])
    assert home.colchis("predict", name, "--row", "3").startswith("prediction ")
    assert len(home.document(name, "golden.json")["inputs"]) == len(case.rows)


@pytest.mark.parametrize("name", CASES)
def test_the_report_shows_what_the_model_was_asked(home: Home, name: str) -> None:
    samples = home.document(name, "evaluate.json")["details"]["samples"]
    page = (home.path / "store" / "runs" / name / "report.html").read_text()
    assert "What the engine says" not in page
    assert any(sample["pixels"] for sample in samples) == (name == "parcels")
    shown = {"text": "The ", "table": "contract ", "parcels": ""}[name]
    assert all(shown in sample["text"] for sample in samples)
    assert ('class="why">' + samples[0]["text"] in page) == bool(samples[0]["text"])


def test_a_frozen_base_stays_as_it_was(home: Home, base: tuple[Path, dict[str, np.ndarray[Any, Any]]]) -> None:
    checkpoints = (home.path / "store" / "runs" / "parcels" / "training" / "checkpoints").glob("*/state.npz")
    with np.load(max(checkpoints)) as state:
        trained = [state[key] for key in state.files]
    for name, weights in base[1].items():
        assert any(found.shape == weights.shape and (found == weights).all() for found in trained), name
