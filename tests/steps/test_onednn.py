"""Whatever kernels TensorFlow would take by itself: no step's log has its chatter, and golden rows are the same."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.steps.training_data import Trainer, write_data

from colchis_steps._content.fetching import fetch_files
from colchis_steps._formats.documents import decode
from colchis_steps._formats.keys import golden_key
from colchis_steps._formats.models import Golden
from colchis_steps._models.candidates import blobs_of
from colchis_steps._rollout.golden import skew
from colchis_steps._savedmodel.library import CHOICE
from colchis_steps._step.polling import poll
from colchis_steps._store.opening import open_store

pytestmark = pytest.mark.tensorflow
OURS = re.compile(r"\d\d:\d\d:\d\d INFO ")
CODE = """
import sys
import keras
print("the user's own line", file=sys.stderr)

def build(context):
    print("I0000 00:00:1.0   1 user.cc:1] looks like TensorFlow's, and is the user's", flush=True)
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    x = keras.layers.Rescaling(1 / 16)(keras.layers.Reshape((4, 4, 1))(inputs))
    x = keras.layers.Flatten()(keras.layers.Conv2D(8, 3, activation="relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    root = tmp_path_factory.mktemp("kernels")
    return Trainer(root, write_data(root / "data", {"train": [24], "eval": [9], "test": [9]}))


def step(stem: str, *flags: str) -> str:
    """Run a step; give its log."""
    words = [sys.executable, "-m", f"colchis_steps.{stem}", *flags]
    done = subprocess.run(words, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def served(directory: Path, golden: Golden, log: Path) -> str:
    """Serve the model, ask it the golden rows, and say how it differs."""
    words = [sys.executable, "-m", "colchis_steps.serve", f"--model=m={directory}", "--port=0"]
    with log.open("wb") as out, subprocess.Popen(words, stderr=out) as server:
        try:
            ready = poll(lambda: re.search(r"(http://\S+)(?s:.*) is loaded and warm", log.read_text()), 150)
            assert ready, log.read_text()
            return skew(golden, ready[1], "m", 1)
        finally:
            server.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    "kernels", [("0", "1", "0"), pytest.param(("1", "0", "1"), marks=pytest.mark.long)], ids="-".join
)
def test_the_chain_is_quiet_and_answers_the_same(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: tuple[str, str, str]
) -> None:
    training, judging, serving = kernels
    run = f"trained-with-{training}"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", training)
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    hyperparameters = '--hyperparameters={"epochs": 2, "global_batch": 8, "seed": 3}'
    done = trainer.train(run, "--entry=mine:build", hyperparameters, code=CODE)
    assert done.returncode == 0, done.stderr
    others = [line for line in done.stderr.splitlines() if not OURS.match(line)]
    assert others[:1] == ["the user's own line"]
    assert ["looks like TensorFlow's, and is the user's" in line for line in others[1:]] == [True]

    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", judging)
    flags = [f"--store={trainer.store}", f"--run={run}", "--model=thirds", f"--data={trainer.data}"]
    log = step("evaluate", *flags, '--thresholds={"accuracy": {"min": 0}}')
    assert [line for line in log.splitlines() if not OURS.match(line)] == []

    store = open_store(trainer.store)
    fetch_files(blobs_of(store, run), trainer.candidate(run).files, tmp_path / "1")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", serving)
    assert served(tmp_path / "1", decode(Golden, store.read(golden_key(run)), "golden"), tmp_path / "log") == ""
    assert [line for line in (tmp_path / "log").read_text().splitlines() if not OURS.match(line)] == []


def test_the_choice_is_the_same_on_any_processor_and_the_users_own_wins() -> None:
    script = (
        "import os\nfrom colchis_steps._savedmodel.library import load_tensorflow\nload_tensorflow()\n"
        "from tensorflow.python.framework import test_util\n"
        "print(os.environ['TF_ENABLE_ONEDNN_OPTS'], test_util.IsMklEnabled())"
    )
    clean = {name: value for name, value in os.environ.items() if name not in CHOICE}
    for mine, wanted in (({}, "1 True"), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "0 False")):
        words = [sys.executable, "-c", script]
        done = subprocess.run(words, env=clean | mine, capture_output=True, text=True, timeout=250, check=True)
        assert (done.stdout.strip(), done.stderr) == (wanted, "")


def test_what_tensorflow_says_before_it_aborts_comes_through(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text(
        "import os\n"
        "os.write(2, b'I0000 00:00:1.5     7 port.cc:153] chatter\\n')\n"
        "os.write(2, b'F0000 00:00:1.5     7 cpu_feature_guard.cc:99] compiled to use AVX\\n')\n"
        "os.abort()\n"
    )
    script = "from colchis_steps._savedmodel.library import load_tensorflow\nload_tensorflow()"
    clean = {name: value for name, value in os.environ.items() if name not in CHOICE}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=clean | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGABRT
    assert done.stderr == "F0000 00:00:1.5     7 cpu_feature_guard.cc:99] compiled to use AVX\n"
