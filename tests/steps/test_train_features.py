"""What an entry may give beside a model, and the trainer's hyper-parameters: any number of workers agrees."""

import json
from pathlib import Path

import pytest
from tests.steps.training_data import Trainer, write_data

pytestmark = pytest.mark.tensorflow
CODE = """
import keras
import numpy as np
import tensorflow as tf

from colchis_steps.context import Training

def model_of(context, optimizer=None):
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs))
    x = keras.layers.Dense(8, activation="tanh", kernel_regularizer="l2")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", dtype="float32")(x))
    rate = keras.optimizers.schedules.CosineDecay(0.02, 30)
    model.compile(
        optimizer or keras.optimizers.AdamW(rate, global_clipnorm=0.5),
        "sparse_categorical_crossentropy",
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")],
    )
    return model

def build(context):
    return model_of(context)

def own(context):
    '''The trainer's own step, written out.'''
    model = model_of(context)

    def train_step(step):
        with tf.GradientTape() as tape:
            predictions = step.model(step.inputs, training=True)
            losses = keras.losses.sparse_categorical_crossentropy(step.labels, predictions)
            loss = step.mean(losses) + tf.add_n(model.losses) / context.workers
        variables = model.trainable_variables
        step.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        step.count(predictions)
        return loss

    return Training(model, train_step=train_step)

def fed(context):
    '''Rows of a function: the stored ones twice, in other blocks.'''
    def dataset(context, split, epoch):
        for _ in range(2):
            for rows in context.blocks(split, epoch):
                half = len(rows["label"]) // 2
                yield {name: values[:half] for name, values in rows.items()}
                yield {name: values[half:] for name, values in rows.items()}

    def transform(rows, random):
        return rows | {"image": rows["image"][:, :, ::-1].copy()}

    return Training(model_of(context), dataset=dataset, transform=transform)

def normal(context):
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs))
    x = keras.layers.BatchNormalization(momentum=0.8)(keras.layers.Dense(8, use_bias=False)(x))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Training(model, callbacks=[keras.callbacks.TensorBoard()])

def stops(context):
    model = model_of(context, keras.optimizers.SGD(0.0))
    keep = keras.callbacks.EarlyStopping(monitor="val_loss", patience=1, restore_best_weights=True)
    return Training(model, callbacks=[keep])
"""
# 41 rows in batches of 12: the last one has 5, so four workers get parts of 2, 1, 1 and 1
SIZES = {"train": [20, 14, 7], "eval": [10], "test": [9]}


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    root = tmp_path_factory.mktemp("features")
    return Trainer(root, write_data(root / "data", SIZES))


def flags(entry: str, workers: int, **more: object) -> list[str]:
    given = json.dumps({"epochs": 2, "global_batch": 12, "seed": 3, **more})
    return [f"--workers={workers}", f"--entry=mine:{entry}", f"--hyperparameters={given}"]


def check_equal(trainer: Trainer, run: str, wanted: str) -> None:
    for mine, theirs in zip(trainer.history(run), trainer.history(wanted), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-6, abs=1e-6)


@pytest.fixture(scope="module")
def plain(trainer: Trainer) -> str:
    done = trainer.train("plain", *flags("build", 1), code=CODE)
    assert done.returncode == 0, done.stderr
    return "plain"


@pytest.mark.parametrize(
    ("entry", "workers", "more"),
    [
        ("build", 2, {"accumulate": 4}),
        pytest.param("own", 2, {}, marks=pytest.mark.long),
        pytest.param("build", 1, {"accumulate": 3}, marks=pytest.mark.long),
        pytest.param("build", 4, {"accumulate": 2}, marks=pytest.mark.long),
        pytest.param("own", 1, {}, marks=pytest.mark.long),
    ],
)
def test_parts_and_steps_of_ones_own_change_nothing(
    trainer: Trainer, plain: str, entry: str, workers: int, more: dict[str, int]
) -> None:
    run = f"{entry}-{workers}-{len(more)}"
    done = trainer.train(run, *flags(entry, workers, **more), code=CODE)
    assert done.returncode == 0, done.stderr
    check_equal(trainer, run, plain)


def test_what_a_dataset_function_gives_is_trained_on(trainer: Trainer) -> None:
    done = trainer.train("fed", *flags("fed", 2, epochs=1), code=CODE)
    assert done.returncode == 0, done.stderr
    assert trainer.checkpoints("fed")[-1].name == f"{-(-82 // 12):010}"  # each row twice, in batches of 12


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_early_stopping_ends_all_workers_and_reports_the_epochs_there_were(trainer: Trainer, workers: int) -> None:
    done = trainer.train(f"stops-{workers}", *flags("stops", workers, epochs=9), code=CODE)
    assert done.returncode == 0, done.stderr
    assert len(trainer.history(f"stops-{workers}")) == 2


@pytest.mark.parametrize(
    ("precision", "workers"), [("mixed_float16", 2), pytest.param("mixed_bfloat16", 1, marks=pytest.mark.long)]
)
def test_mixed_precision_trains_to_about_the_same(trainer: Trainer, plain: str, precision: str, workers: int) -> None:
    done = trainer.train(precision, *flags("build", workers, precision=precision), code=CODE)
    assert done.returncode == 0, done.stderr
    for mine, theirs in zip(trainer.history(precision), trainer.history(plain), strict=True):
        assert mine[0] == pytest.approx(theirs[0], rel=0.05)
    assert trainer.candidate(precision).signature["outputs"]["probability"]["dtype"] == "float32"


@pytest.fixture(scope="module")
def normal(trainer: Trainer) -> str:
    done = trainer.train("normal", *flags("normal", 1, unitz=3, sync_batch_norm=True), code=CODE)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.usefixtures("normal")
@pytest.mark.parametrize("switch", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_switch_gives_batch_normalization_the_rows_of_all_workers(trainer: Trainer, *, switch: bool) -> None:
    run = f"normal-{switch}"
    done = trainer.train(run, *flags("normal", 2, sync_batch_norm=switch), code=CODE)
    assert done.returncode == 0, done.stderr
    warning = "BatchNormalization batch_normalization sees parts of 6 rows: give the hyper-parameter sync_batch_norm"
    assert (warning in done.stderr) is not switch
    if switch:
        check_equal(trainer, run, "normal")


def test_what_is_left_out_or_not_read_is_said(normal: str) -> None:
    assert "the callback TensorBoard is left out: its event files are written anyway" in normal
    assert "nobody has read the hyper-parameter 'unitz'" in normal
    assert normal.count("nobody has read") == 1


def test_the_report_says_how_fast_it_was(trainer: Trainer, plain: str) -> None:
    speed = trainer.result(plain).details["speed"]
    assert speed["examples_per_second"] > 0
    assert speed["step"] == pytest.approx(speed["input"] + speed["compute"] + speed["all_reduce"], abs=2e-6)
    assert speed["all_reduce"] == 0
    rates = [epoch["learning_rate"] for epoch in trainer.result(plain).details["history"]]
    assert rates[0] == pytest.approx(0.02)
    assert rates[1] < rates[0]


def test_tensorboard_files_are_in_the_store(trainer: Trainer, plain: str, tmp_path: Path) -> None:
    top = trainer.root / "store" / "runs" / plain / "training" / "tensorboard"
    found = {path.parent.name: path.read_bytes() for path in top.glob("*/events.out.tfevents.*")}
    assert found.keys() == {"train", "eval"}
    for tag in (b"loss", b"accuracy", b"learning_rate", b"examples_per_second", b"scalars"):
        assert tag in found["train"]
