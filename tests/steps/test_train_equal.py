"""Training with processes: the number of workers does not show in the result, and a second run does nothing."""

from pathlib import Path

import numpy as np
import pytest
from tests.steps.training_data import Trainer, write_data

from colchis_steps._content.fetching import fetch_files
from colchis_steps._models.candidates import blobs_of
from colchis_steps._store.opening import open_store

pytestmark = pytest.mark.tensorflow
# 41 rows in batches of 12: the last one has 5, so four workers get parts of 2, 1, 1 and 1
SIZES = {"train": [20, 14, 7], "eval": [10], "test": [9]}
FLAGS = ("--entry=mine:build", '--hyperparameters={"epochs": 3, "global_batch": 12, "seed": 3}')
CODE = """
import keras

def build(context):
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs))
    x = keras.layers.Dense(8, activation="tanh", kernel_regularizer="l2")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    adam = keras.optimizers.Adam(0.01, global_clipnorm=0.5)
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    root = tmp_path_factory.mktemp("equal")
    return Trainer(root, write_data(root / "data", SIZES))


@pytest.fixture(scope="module")
def alone(trainer: Trainer) -> str:
    done = trainer.train("one", "--workers=1", *FLAGS, code=CODE)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.long)])
def test_workers_give_the_loss_metrics_and_weights_of_one(trainer: Trainer, workers: int) -> None:
    run = f"run-{workers}"
    done = trainer.train(run, f"--workers={workers}", *FLAGS, f"--tree-path={trainer.root / 'tree'}", code=CODE)
    assert done.returncode == 0, done.stderr
    assert trainer.result(run).details["workers"] == workers
    for mine, wanted in zip(trainer.history(run), trainer.history("one"), strict=True):
        assert mine == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    state, wanted_state = trainer.state(run), trainer.state("one")
    assert state.keys() == wanted_state.keys()
    assert {"model/0000", "model/0003", "optimizer/0002"} <= state.keys()  # kernels, biases, Adam's moments
    for name, array in state.items():
        np.testing.assert_allclose(array, wanted_state[name], rtol=1e-6, atol=1e-6, err_msg=name)
    assert (trainer.root / "tree").read_text() == trainer.candidate(run).tree


def test_the_log_has_no_noise(alone: str) -> None:
    lines = alone.splitlines()
    assert [line for line in lines if " INFO " not in line] == []
    assert sum("epoch" in line for line in lines) == 3


@pytest.mark.usefixtures("alone")
def test_the_candidate_says_what_it_is(trainer: Trainer, tmp_path: Path) -> None:
    found = trainer.candidate("one")
    assert found.signature["inputs"] == {"image": {"dtype": "uint8", "shape": [None, 4, 4]}}
    assert found.signature["outputs"] == {
        "class": {"dtype": "int64", "shape": [None]},
        "probability": {"dtype": "float32", "shape": [None, 3]},
    }
    assert found.hyperparameters == {"epochs": 3, "global_batch": 12, "seed": 3}
    assert found.frameworks.keys() == {"tensorflow", "keras", "python"}
    fetch_files(blobs_of(open_store(trainer.store), "one"), found.files, tmp_path)
    assert (tmp_path / "saved_model.pb").stat().st_size > 0
    details = trainer.result("one").details
    assert details["parameters"] == 16 * 8 + 8 + 8 * 3 + 3
    assert details["resumed_from_epoch"] == 0
    assert [epoch["epoch"] for epoch in details["history"]] == [1, 2, 3]


@pytest.mark.usefixtures("alone")
def test_the_same_run_again_does_nothing(trainer: Trainer) -> None:
    before = trainer.result("one")
    done = trainer.train("one", "--workers=1", *FLAGS, code="raise SystemExit")
    assert (done.returncode, done.stdout) == (0, "")
    assert "has its model already" in done.stderr
    assert trainer.result("one") == before
