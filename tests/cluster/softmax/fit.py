"""Fit one layer to the rows by gradient descent with NumPy alone; its weights go beside the graph that came along."""

import json
import os
import shutil
from pathlib import Path

import numpy as np

from colchis_steps.context import Context, from_environment

STEPS, RATE = 300, 2.0


def rows(context: Context, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a split's pictures, 0 to 1 and with a constant behind, and its labels."""
    blocks = list(context.blocks(split, 1))
    pictures = np.concatenate([block["image"].reshape(len(block["image"]), -1) for block in blocks])
    ones = np.ones((len(pictures), 1))
    return np.concatenate([pictures / 16, ones], axis=1), np.concatenate([block[context.label] for block in blocks])


def shares(pictures: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the probabilities of the classes."""
    powers = np.exp(pictures @ weights)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def main() -> None:
    """Fit; tell how well; leave model.onnx and its weights."""
    context = from_environment()
    pictures, labels = rows(context, "train")
    wanted = np.eye(len(context.classes))[labels]
    weights = np.zeros((pictures.shape[1], len(context.classes)))
    for _ in range(STEPS):
        weights -= RATE * pictures.T @ (shares(pictures, weights) - wanted) / len(pictures)
    told = {}
    for split in ("train", "eval"):
        seen, truth = rows(context, split)
        found = shares(seen, weights)
        loss = -np.log(found[np.arange(len(truth)), truth]).mean()
        told[split] = {"loss": float(loss), "accuracy": float((found.argmax(axis=1) == truth).mean())}
    Path(os.environ["COLCHIS_HISTORY"]).write_text(json.dumps({"epoch": 1, **told}) + "\n", encoding="utf-8")
    export = Path(os.environ["COLCHIS_EXPORT"])
    weights.astype("<f4").tofile(export / "weights.bin")
    shutil.copy("model.onnx", export)


if __name__ == "__main__":
    main()
