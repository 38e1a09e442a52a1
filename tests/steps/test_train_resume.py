"""A training that is cut off in the middle of an epoch goes on there, with the same curves as one that is not."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from tests.steps.test_train_faults import wait_for, workers_of
from tests.steps.training_data import Trainer, write_data

pytestmark = pytest.mark.tensorflow
# dropout, batch statistics, a schedule by step, a learning rate by epoch, averages that are swapped in: all have state
CODE = """
import time

import keras

from colchis_steps.context import Training

class Slow(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(context_seconds)

def build(context):
    global context_seconds
    context_seconds = context.hyperparameters["seconds"] / 1000
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(8, activation="relu")(x))
    x = keras.layers.Dropout(0.2)(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    adam = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=0.2)
    best = keras.callbacks.EarlyStopping(monitor="val_loss", patience=50, restore_best_weights=True)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    return Training(model, callbacks=[Slow(), plateau, best, swap])
"""


def flags(workers: int) -> list[str]:
    # the sleep is of the entry, so both runs have it: 60 ms a step
    given = '{"epochs": 4, "global_batch": 6, "seed": 5, "seconds": 60}'
    return [f"--workers={workers}", "--entry=mine:build", f"--hyperparameters={given}"]


@pytest.mark.parametrize("workers", [2, pytest.param(1, marks=pytest.mark.long)])
def test_sigterm_to_one_worker_saves_all_in_the_middle_of_an_epoch(tmp_path: Path, workers: int) -> None:
    data = write_data(tmp_path / "data", {"train": [40, 41, 20], "eval": [12], "test": [3]})
    trainer = Trainer(tmp_path, data)
    (tmp_path / "mine.py").write_text(CODE)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = trainer.command("cut", *flags(workers))
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: trainer.checkpoints("cut"), process)  # the first epoch has ended: 17 steps
    os.kill(workers_of(process)[-1], signal.SIGTERM)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 75
    last = log.splitlines()[-1]
    found = re.search(r"asked to stop \(SIGTERM\); all is saved after step (\d+)", last)
    assert found, log
    step = int(found[1])
    assert 17 <= step < 68
    assert trainer.checkpoints("cut")[-1].name == f"{step:010}"
    again = trainer.train("cut", *flags(workers), code=CODE)
    assert again.returncode == 0, again.stderr
    assert f"{step % 17} steps of the next" in again.stderr or step % 17 == 0
    details = trainer.result("cut").details
    assert (details["resumed_from_step"], details["resumed_from_epoch"]) == (step, step // 17)
    whole = trainer.train("whole", *flags(workers), code=CODE)
    assert whole.returncode == 0, whole.stderr
    assert len(trainer.history("cut")) == 4
    for mine, wanted in zip(trainer.history("cut"), trainer.history("whole"), strict=True):
        assert mine == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    rates = [[e["learning_rate"] for e in trainer.result(run).details["history"]] for run in ("cut", "whole")]
    assert rates[0] == rates[1]
    assert rates[0][0] > rates[0][-1]
