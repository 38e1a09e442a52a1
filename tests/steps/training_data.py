"""Small data sets, code and ways to run the trainer, for the tests of training and evaluation."""

import hashlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from colchis_steps._formats.data_v1 import Column, DataManifest, Shard, data_digest
from colchis_steps._formats.documents import decode, encode, now
from colchis_steps._formats.keys import result_key
from colchis_steps._formats.models import Candidate
from colchis_steps._formats.runs import StepResult
from colchis_steps._store.opening import open_store

CLASSES = ("a", "b", "c")
COLUMNS = (
    Column(name="image", dtype="uint8", shape=(4, 4), minimum=0.0, maximum=16.0),
    Column(name="label", dtype="int64", minimum=0.0, maximum=2.0, classes=CLASSES),
)


def rows(count: int, seed: int) -> dict[str, np.ndarray]:
    """Pictures whose bright third says their class, with noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 3
    images = random.integers(0, 6, (count, 4, 4)).astype(np.uint8)
    for i, label in enumerate(labels):
        images[i, label] += 8
    return {"image": images, "label": labels}


def shard_of(directory: Path, name: str, columns: dict[str, np.ndarray]) -> Shard:
    buffer = io.BytesIO()
    np.savez(buffer, **columns)  # type: ignore[arg-type]  # the stub takes allow_pickle for one of the arrays
    content = buffer.getvalue()
    (directory / name).write_bytes(content)
    return Shard(name, len(columns["label"]), len(content), hashlib.sha256(content).hexdigest())


def write_data(directory: Path, sizes: dict[str, list[int]], columns: tuple[Column, ...] = COLUMNS) -> str:
    """Write a data set whose splits have shards of these sizes; give its URI."""
    directory.mkdir(parents=True)
    splits, seed = {}, 0
    for split, counts in sizes.items():
        shards = []
        for i, count in enumerate(counts):
            seed += 1
            shards.append(shard_of(directory, f"{split}-{i:05}.npz", rows(count, seed)))
        splits[split] = tuple(shards)
    write_manifest(directory, splits, columns)
    return directory.as_uri()


def write_manifest(
    directory: Path, splits: dict[str, tuple[Shard, ...]], columns: tuple[Column, ...] = COLUMNS
) -> None:
    digest = data_digest("thirds", "label", columns, splits)
    manifest = DataManifest("thirds", digest, "label", columns, splits, "made for tests", now())
    (directory / "manifest.json").write_bytes(encode(manifest))


@dataclass
class Trainer:
    """A store with a data set, and the trainer's command line for it."""

    root: Path
    data: str

    @property
    def store(self) -> str:
        return (self.root / "store").as_uri()

    def command(self, run: str, *flags: str) -> list[str]:
        base = [f"--store={self.store}", f"--run={run}", "--model=thirds", f"--data={self.data}"]
        return [sys.executable, "-m", "colchis_steps.train", *base, f"--workdir={self.root / run}", *flags]

    def train(self, run: str, *flags: str, code: str = "") -> subprocess.CompletedProcess[str]:
        """Run to the end; ``code`` becomes the module ``mine`` on PYTHONPATH."""
        (self.root / "mine.py").write_text(code)
        environment = os.environ | {"PYTHONPATH": str(self.root)}
        return subprocess.run(
            self.command(run, *flags), env=environment, capture_output=True, text=True, timeout=250, check=False
        )

    def result(self, run: str, step: str = "train") -> StepResult:
        return decode(StepResult, open_store(self.store).read(result_key(run, step)), step)

    def candidate(self, run: str) -> Candidate:
        return decode(Candidate, open_store(self.store).read(f"runs/{run}/candidate/model.json"), "model.json")

    def checkpoints(self, run: str) -> list[Path]:
        """Return the directories of the run's whole checkpoints, oldest first."""
        found = self.root.glob(f"store/runs/{run}/training/checkpoints/*/checkpoint.json")
        return sorted(path.parent for path in found)

    def state(self, run: str) -> dict[str, np.ndarray]:
        """Return the newest checkpoint's arrays by name: variables of the model, of the optimizer."""
        with np.load(self.checkpoints(run)[-1] / "state.npz") as arrays:
            return {name: arrays[name] for name in arrays.files}

    def history(self, run: str) -> list[tuple[float, ...]]:
        """Each epoch's metrics, without the time."""
        epochs = self.result(run).details["history"]
        return [(*e["train"].values(), *e["eval"].values()) for e in epochs]
