"""An ONNX model goes the whole way, from a command of any framework to what is served; nothing imports TensorFlow."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.steps.onnx_models import save, thirds
from tests.steps.training_data import Trainer, write_data

from colchis_steps._formats.models import Manifest, Record
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

pytestmark = pytest.mark.servers
Step = Callable[..., "subprocess.CompletedProcess[str]"]
COPY = "import os, shutil, sys; shutil.copy(sys.argv[1], os.environ['COLCHIS_EXPORT'])"


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, write_data(tmp_path / "store/data/thirds/0", {"train": [9], "eval": [6], "test": [60]}))


@pytest.fixture
def step(trainer: Trainer) -> Iterator[Step]:
    """Return what runs a step where TensorFlow cannot be imported."""
    home = trainer.root / "without/tensorflow"
    home.mkdir(parents=True)
    (home / "__init__.py").write_text("raise ImportError('nobody needs TensorFlow here')\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = os.environ | {"COLCHIS_HOME": str(trainer.root / "home"), "COLCHIS_PORT": port}
    environment |= {"PYTHONPATH": str(home.parent), "COLCHIS_STORE": trainer.store}

    def run(name: str, *flags: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", f"colchis_steps.{name}", *flags]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)
        assert done.returncode == 0, (name, done.stderr)
        return done

    yield run
    run("models", "stop")


def test_a_model_goes_from_a_command_to_its_clients(trainer: Trainer, step: Step) -> None:
    root, where = trainer.root, f"--store={trainer.store}"
    (root / "copy.py").write_text(COPY)
    made = save(root / "made", thirds()) / "model.onnx"
    base = [where, "--run=r", "--model=thirds"]
    data = f"--data={trainer.data}"
    step("validate_data", where, "--run=r", data)
    step("train", *base, data, f"--workdir={root / 'w'}", f"--entry=command:{sys.executable} {root / 'copy.py'} {made}")
    candidate = trainer.candidate("r")
    assert candidate.format == "onnx"
    assert candidate.signature["outputs"] == {
        "class": {"dtype": "int64", "shape": [None]},
        "probability": {"dtype": "float32", "shape": [None, 3]},
    }
    paths = {name: root / name for name in ("verdict", "tree", "evaluation", "golden", "baseline")}
    step("evaluate", *base, data, *(f"--{name}-path={path}" for name, path in paths.items()))
    found = {name: path.read_text() for name, path in paths.items()}
    assert found.pop("verdict") == "pass"
    claims = [f"--{name}={value}" for name, value in found.items()]
    step("upload", *base, *claims)
    step("build_image", *base, "--version=1", f"--repository=oci:{root}/images", f"--image-path={root}/image")
    image = (root / "image").read_text()
    step("register", *base, "--version=1", f"--image={image}", *claims)
    store = open_store(trainer.store)
    documents: tuple[tuple[str, Any], ...] = (("manifest", Manifest), ("record", Record))
    for name, kind in documents:
        assert read_document(store, f"models/thirds/1/{name}.json", kind).format == "onnx"
    step("rollout", *base, "--version=1", f"--image={image}", "--target=local")
    assert "prediction b" in step("predict", "thirds", where, "--row=1").stdout
    request = json.dumps({"instances": [[[9] * 4, [0] * 4, [0] * 4, [0] * 4]]})
    (answer,) = json.loads(step("predict", "thirds", where, f"--json={request}").stdout)["predictions"]
    assert (answer["class"], round(sum(answer["probability"]), 4)) == (0, 1.0)
    step("batch", "thirds", f"--from={trainer.data}", f"--to={(root / 'to').as_uri()}", where)
    assert pq.read_table(root / "to").num_rows == 75
    assert re.search(r"^ +format +ONNX$", step("explain", "thirds/1", where).stdout, re.MULTILINE)
    step("report", where, "--run=r", "--status=Succeeded", f"--report-path={root / 'report.html'}")
    assert "ONNX" in (root / "report.html").read_text()
