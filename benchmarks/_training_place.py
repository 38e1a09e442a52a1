"""The files of the race `training`: a data set as Colchis stores it, the order of its rows, the commands."""

import hashlib
import io
import json
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks._rivals import environment
from benchmarks._training_model import CLASSES, SIDE

from colchis_steps._data.dataset import open_data
from colchis_steps._formats.data_v1 import Column, DataManifest, Shard, data_digest
from colchis_steps._formats.documents import encode, now

ROOT = Path(__file__).parents[1]
OURS, SINGLE, LEGACY, BARE = "colchis", "single", "tf-keras", "bare-step"
COLUMNS = (
    Column(name="image", dtype="uint8", shape=(SIDE, SIDE), minimum=0.0, maximum=255.0),
    Column(name="label", dtype="int64", classes=tuple(map(str, range(CLASSES)))),
)
DIGITS = 6  # to which losses are equal


def write_data(directory: Path, *, shards: int, rows: int, eval_rows: int) -> str:
    """Write a data set of pictures whose class shows as a bright row within noise; give its URI.

    A picture's first four pixels are its number, so that the order in which a trainer takes them can be read off.
    """
    directory.mkdir(parents=True)
    random = np.random.default_rng(0)
    splits: dict[str, tuple[Shard, ...]] = {}
    for split, counts in {"train": [rows] * shards, "eval": [eval_rows]}.items():
        made = []
        for i, count in enumerate(counts):
            labels = random.integers(0, CLASSES, count)
            images = random.integers(0, 128, (count, SIDE, SIDE)).astype(np.uint8)
            images[np.arange(count), 4 + 2 * labels] += 64
            images[:, 0, :4] = (np.arange(count, dtype="<u4") + i * rows).view(np.uint8).reshape(-1, 4)
            content = io.BytesIO()
            np.savez(content, image=images, label=labels.astype(np.int64))
            (directory / f"{split}-{i:05}.npz").write_bytes(content.getvalue())
            digest = hashlib.sha256(content.getvalue()).hexdigest()
            made.append(Shard(f"{split}-{i:05}.npz", count, len(content.getvalue()), digest))
        splits[split] = tuple(made)
    digest = data_digest("race", "label", COLUMNS, splits)
    manifest = DataManifest("race", digest, "label", COLUMNS, splits, "made by benchmarks.training", now())
    (directory / "manifest.json").write_bytes(encode(manifest))
    return directory.as_uri()


def order_of(uri: str, epochs: int, seed: int = 0) -> "np.ndarray[Any, Any]":
    """Return the numbers of the rows in the order in which our trainer takes them, int64 [epochs, rows]."""
    data = open_data(uri)
    taken = [
        np.concatenate([block["image"][:, 0, :4] for block in data.blocks("train", seed=seed, epoch=epoch)])
        for epoch in range(1, epochs + 1)
    ]
    return np.stack([np.ascontiguousarray(pixels).view("<u4").ravel() for pixels in taken]).astype(np.int64)


@dataclass(frozen=True)
class Place:
    """Where a race's files are, and how contenders train."""

    home: Path
    data: str
    rows: int
    batch: int
    epochs: int
    device: str  # cpu: no contender sees a GPU

    @property
    def steps(self) -> int:
        """The steps of an epoch."""
        return self.rows // self.batch

    def train(self, workers: int, given: Mapping[str, Any] | None = None) -> list[str]:
        """Return our trainer's command for a new run; its records are below ``store/runs/<run>``, the last word."""
        told = {"epochs": self.epochs, "global_batch": self.batch, "checkpoint_seconds": 300, **(given or {})}
        run = f"run-{uuid.uuid4().hex[:8]}"
        flags = {
            "store": (self.home / "store").as_uri(),
            "run": run,
            "model": "race",
            "data": self.data,
            "entry": "benchmarks._training_model:build",
            "workers": workers,
            "workdir": self.home / run,
            "hyperparameters": json.dumps(told),
        }
        return [sys.executable, "-m", "colchis_steps.train", *(f"--{name}={value}" for name, value in flags.items())]

    def fit(self, contender: str, workers: int, *more: str) -> list[str]:
        """Return a rival's command."""
        python = environment(LEGACY) if contender == LEGACY else Path(sys.executable)
        flags = {
            "data": self.home / "data",
            "order": self.home / "order.npy",
            "told": self.home / f"{contender}.json",
            "workers": workers,
            "epochs": self.epochs,
            "batch": self.batch,
            "backup": self.home / f"backup-{uuid.uuid4().hex[:8]}",
        }
        named = (f"--{name}={value}" for name, value in flags.items())
        return [str(python), "-m", "benchmarks._training_rivals", contender, *named, *more]

    def variables(self) -> dict[str, str]:
        """Return what the environment of each contender says."""
        hidden = {"CUDA_VISIBLE_DEVICES": "-1"} if self.device == "cpu" else {}
        return hidden | {
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def record(self, command: Sequence[str]) -> dict[str, Any]:
        """Return the details of our trainer's record."""
        run = next(word.partition("=")[2] for word in command if word.startswith("--run="))
        record = self.home / "store" / "runs" / run / "training" / "train.json"
        found: dict[str, Any] = json.loads(record.read_text())["details"]
        return found


def threads(workers: int) -> dict[str, str]:
    """Share the cores out as our local back-end does, for a rival that has none."""
    cores = str(max(1, len(os.sched_getaffinity(0)) // workers))
    return {
        "OMP_NUM_THREADS": cores,
        "TF_NUM_INTRAOP_THREADS": cores,
        "TF_NUM_INTEROP_THREADS": str(max(2, int(cores))),
    }


def equal(mine: Sequence[float], wanted: Sequence[float]) -> bool:
    """Return whether two curves are the same to DIGITS digits."""
    return len(mine) == len(wanted) and all(
        abs(a - b) <= 10.0**-DIGITS * max(1.0, abs(b)) for a, b in zip(mine, wanted, strict=True)
    )
