"""Train scikit-learn's logistic regression on any data set, and export it as a SavedModel: no pickle, no Keras."""

import json
import os
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

from colchis_steps.context import Context, from_environment


def table(rows: dict[str, np.ndarray], context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Return a block's features side by side, scaled to 0…1, and its labels."""
    parts = [
        rows[name].reshape(len(rows[name]), -1) / (column.maximum or 1.0) for name, column in context.columns.items()
    ]
    return np.concatenate(parts, axis=1), rows[context.label]


def export(model: SGDClassifier, context: Context, directory: Path) -> None:
    """Write a SavedModel: a few multiplications, with inputs named after the columns."""
    import tensorflow as tf

    weights = tf.constant(model.coef_.T, tf.float32)
    biases = tf.constant(model.intercept_, tf.float32)

    def serve(**features: tf.Tensor) -> dict[str, tf.Tensor]:
        parts = []
        for name, column in context.columns.items():
            flat = tf.reshape(features[name], [-1, int(np.prod(column.shape))])
            parts.append(tf.cast(flat, tf.float32) / (column.maximum or 1.0))
        shares = tf.sigmoid(tf.concat(parts, 1) @ weights + biases)
        probability = shares / tf.reduce_sum(shares, axis=1, keepdims=True)
        return {"class": tf.argmax(probability, 1), "probability": probability}

    given = {n: tf.TensorSpec([None, *c.shape], c.dtype, name=n) for n, c in context.columns.items()}
    signature = tf.function(serve).get_concrete_function(**given)
    tf.saved_model.save(tf.Module(), str(directory), signatures={"serving_default": signature})


def main() -> None:
    """Train epoch by epoch, block by block; tell of each epoch; export."""
    context = from_environment()
    model = SGDClassifier(loss="log_loss", alpha=context.hyperparameters.get("alpha", 1e-4), random_state=context.seed)
    classes = np.arange(len(context.classes))
    for epoch in range(1, context.hyperparameters.get("epochs", 10) + 1):
        for rows in context.blocks("train", epoch):
            model.partial_fit(*table(rows, context), classes=classes)
        told: dict[str, dict[str, float]] = {}
        for split in ("train", "eval"):
            blocks = [table(rows, context) for rows in context.blocks(split, epoch)]
            features, labels = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
            loss = float(log_loss(labels, model.predict_proba(features), labels=classes))
            told[split] = {"loss": loss, "accuracy": float(model.score(features, labels))}
        with Path(os.environ["COLCHIS_HISTORY"]).open("a", encoding="utf-8") as history:
            history.write(json.dumps({"epoch": epoch, **told}) + "\n")
    export(model, context, Path(os.environ["COLCHIS_EXPORT"]))


if __name__ == "__main__":
    main()
