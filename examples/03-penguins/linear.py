"""Train scikit-learn's logistic regression on the numbers of a table, and export it as a SavedModel: no pickle."""

import json
import os
from pathlib import Path

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from colchis_steps.context import Context, from_environment


def table(context: Context, split: str, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns side by side, [rows, columns], and the labels [rows]."""
    blocks = list(context.blocks(split, 0))
    columns = [np.concatenate([block[name] for block in blocks]).astype("float64") for name in names]
    return np.stack(columns, axis=1), np.concatenate([block[context.label] for block in blocks])


def export(model: LogisticRegression, scaler: StandardScaler, context: Context, names: list[str]) -> None:
    """Write a SavedModel of a few multiplications, whose inputs are the columns."""
    import tensorflow as tf

    means, spread = scaler.mean_.astype("float32"), scaler.scale_.astype("float32")

    def serve(**features: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.stack([tf.cast(features[name], tf.float32) for name in names], axis=1)
        x = (tf.where(tf.math.is_nan(x), means, x) - means) / spread
        probability = tf.nn.softmax(x @ model.coef_.T.astype("float32") + model.intercept_.astype("float32"))
        return {"class": tf.argmax(probability, 1), "probability": probability}

    given = {name: tf.TensorSpec([None], context.columns[name].dtype, name=name) for name in names}
    signature = tf.function(serve).get_concrete_function(**given)
    tf.saved_model.save(tf.Module(), os.environ["COLCHIS_EXPORT"], signatures={"serving_default": signature})


def main() -> None:
    """Fit, tell of it, export."""
    context = from_environment()
    names = [name for name, column in context.columns.items() if column.dtype.startswith("float")]
    features, labels = table(context, "train", names)
    fitted = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(random_state=context.seed))
    fitted.fit(features, labels)
    told = {}
    for split in ("train", "eval"):
        features, labels = table(context, split, names)
        loss = float(log_loss(labels, fitted.predict_proba(features), labels=fitted.classes_))
        told[split] = {"loss": loss, "accuracy": float(fitted.score(features, labels))}
    Path(os.environ["COLCHIS_HISTORY"]).write_text(json.dumps({"epoch": 1, **told}) + "\n", encoding="utf-8")
    export(fitted.named_steps["logisticregression"], fitted.named_steps["standardscaler"], context, names)


if __name__ == "__main__":
    main()
