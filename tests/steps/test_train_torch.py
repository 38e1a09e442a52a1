"""PyTorch's data-parallel training as a command: in an environment of its own, with the wheel of the registry.

The wheel for Linux brings CUDA, several GB; it runs on CPUs as well. The environment is made once a machine, below
$XDG_CACHE_HOME or ~/.cache, and nothing here is skipped: without it the test fails.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.steps.onnx_models import thirds
from tests.steps.training_data import Trainer, write_data

from colchis_steps._content.fetching import fetch_files
from colchis_steps._models.candidates import blobs_of
from colchis_steps._store.opening import open_store

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
MODEL = thirds().SerializeToString().hex()
WHEELS = ["torch>=2.6,<3", "numpy"]
DDP = """
import json, os, pathlib, sys
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
torch.manual_seed(7)
torch.set_num_threads(1)
x = torch.linspace(-1, 1, 64 * 8).reshape(64, 8)
y = x.square().sum(1, keepdim=True)
layers = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
model = torch.nn.parallel.DistributedDataParallel(layers)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(1, 21):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x[rank::size]), y[rank::size])  # equal parts: the mean of means
    loss.backward()
    optimizer.step()
    total = loss.detach() / size
    dist.all_reduce(total)
    if rank == 0:
        with open(os.environ["COLCHIS_HISTORY"], "a") as history:
            print(json.dumps({"epoch": epoch, "train": {"loss": float(total)}, "seconds": 0.1}), file=history)
if rank == 0:
    weights = [float(w) for p in model.parameters() for w in p.detach().flatten()]
    export = pathlib.Path(os.environ["COLCHIS_EXPORT"])
    (export / "weights.json").write_text(json.dumps([size, weights]))
    (export / "model.onnx").write_bytes(bytes.fromhex(sys.argv[1]))
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """Return the interpreter of an environment with PyTorch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "colchis-tests" / f"torch-{sys.version_info[0]}.{sys.version_info[1]}"
    if not (home / "ready").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        for words in (
            ["venv", "--clear", "--python", sys.executable, str(home)],
            ["pip", "install", "--python", str(home), *WHEELS],
        ):
            done = subprocess.run([uv, "--quiet", *words], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        (home / "ready").touch()
    return home / "bin" / "python"


def test_torchs_data_parallel_gives_what_one_process_gives(python: Path, tmp_path: Path) -> None:
    (tmp_path / "ddp.py").write_text(DDP)
    trainer = Trainer(tmp_path, write_data(tmp_path / "store/data/thirds/0", {"train": [24], "eval": [6], "test": [6]}))
    found = {}
    for workers in (1, 2):
        run = f"r{workers}"
        done = trainer.train(run, f"--workers={workers}", f"--entry=command:{python} {tmp_path / 'ddp.py'} {MODEL}")
        assert done.returncode == 0, done.stderr
        fetch_files(blobs_of(open_store(trainer.store), run), trainer.candidate(run).files, tmp_path / run)
        size, found[workers] = json.loads((tmp_path / run / "weights.json").read_text())
        assert size == workers
    assert found[2] == pytest.approx(found[1], abs=1e-6)
    losses = [[row[0] for row in trainer.history(run)] for run in ("r1", "r2")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert losses[0][-1] < losses[0][0] / 2, "it did train"
