"""Train scikit-learn's logistic regression on iris; export its coefficients as a SavedModel: no pickle, no Keras."""

import json
import os
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from colchis_steps.context import Context, from_environment


def rows(context: Context, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a split's lengths, float32 [rows, 4], and labels; iris fits into memory many times over."""
    blocks = list(context.blocks(split, 1))
    return np.concatenate([block["lengths"] for block in blocks]), np.concatenate([b[context.label] for b in blocks])


def export(model: LogisticRegression, directory: Path) -> None:
    """Write a SavedModel that answers classes, as iris servers do; the gate judges by its second signature."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable(model.coef_.T.astype("float32"), trainable=False)
    module.biases = tf.Variable(model.intercept_.astype("float32"), trainable=False)

    def probability(lengths: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": tf.nn.softmax(lengths @ module.weights + module.biases)}

    def serve(lengths: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"class": tf.argmax(probability(lengths)["probability"], axis=1)}

    taken = [tf.TensorSpec([None, model.coef_.shape[1]], tf.float32, name="lengths")]
    signatures = {"serving_default": tf.function(serve, taken), "probability": tf.function(probability, taken)}
    tf.saved_model.save(module, str(directory), signatures)


def main() -> None:
    """Train, tell how good it is, export."""
    context = from_environment()
    model = LogisticRegression(C=context.hyperparameters.get("C", 1.0), max_iter=500)
    model.fit(*rows(context, "train"))
    told: dict[str, dict[str, float]] = {}
    for split in ("train", "eval"):
        lengths, labels = rows(context, split)
        loss = float(log_loss(labels, model.predict_proba(lengths), labels=model.classes_))
        told[split] = {"loss": loss, "accuracy": float(model.score(lengths, labels))}
    with Path(os.environ["COLCHIS_HISTORY"]).open("a", encoding="utf-8") as history:
        history.write(json.dumps({"epoch": 1, **told}) + "\n")
    export(model, Path(os.environ["COLCHIS_EXPORT"]))


if __name__ == "__main__":
    main()
