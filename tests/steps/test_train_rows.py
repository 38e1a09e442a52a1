"""A training on rows in the forms that people write, and one whose metric is not a number: the run goes on."""

import json
from pathlib import Path

import pytest
from tests.steps.report_runs import parsed, text
from tests.steps.training_data import Trainer, write_data

from colchis_steps import report
from colchis_steps._formats.documents import decode
from colchis_steps._formats.training import History
from colchis_steps._store.opening import open_store

pytestmark = pytest.mark.tensorflow
CODE = """
import keras
import numpy as np
import tensorflow as tf

from colchis_steps.context import Training

def model_of(metrics=()):
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy", *metrics])
    return model

def stored(context):
    return Training(model_of())

def fed(context):
    def dataset(context, split, epoch):
        found = list(context.blocks(split, epoch))
        images, labels = (np.concatenate([block[name] for block in found]) for name in ("image", "label"))
        names = np.array(context.classes)[labels]
        return tf.data.Dataset.from_tensor_slices((images.astype("int32"), names)).batch(7)
    return Training(model_of(), dataset=dataset)

class Odd(keras.metrics.SparseCategoricalAccuracy):
    def result(self):
        return super().result() * float("nan")

def odd(context):
    return Training(model_of([Odd(name="odd")]))
"""


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    root = tmp_path_factory.mktemp("rows")
    return Trainer(root, write_data(root / "data", {"train": [20, 14, 7], "eval": [10], "test": [9]}))


def flags(entry: str, workers: int = 1) -> list[str]:
    chosen = json.dumps({"epochs": 2, "global_batch": 12})
    return [f"--entry=mine:{entry}", f"--workers={workers}", f"--hyperparameters={chosen}"]


def test_a_data_set_of_tensorflow_trains_as_the_stored_rows_do(trainer: Trainer) -> None:
    for run, workers in (("stored", 1), ("fed", 2)):
        done = trainer.train(run, *flags(run, workers), code=CODE)
        assert done.returncode == 0, done.stderr
    for mine, theirs in zip(trainer.history("fed"), trainer.history("stored"), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)


def test_a_metric_that_is_not_a_number_ends_nothing(trainer: Trainer, tmp_path: Path) -> None:
    for _ in range(2):  # the second finds what the first left
        done = trainer.train("odd", *flags("odd"), code=CODE)
        assert done.returncode == 0, done.stderr
    content = open_store(trainer.store).read("runs/odd/training/history.json")
    json.loads(content, parse_constant=pytest.fail)
    epochs = decode(History, content, "history.json").epochs
    assert [str(epoch.train["odd"]) for epoch in epochs] == ["nan", "nan"]
    assert trainer.result("odd").details["history"][0]["eval"]["odd"] == "NaN"
    page = tmp_path / "page.html"
    report.main([f"--store={trainer.store}", "--run=odd", "--status=Succeeded", f"--report-path={page}"])
    shown = text(parsed(page.read_text()), "training")
    assert "accuracy" in shown
    assert "odd" not in shown
