"""Faults with real processes: each ends in one sentence and the right exit code, and none of them hangs."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.steps.training_data import Trainer, write_data

pytestmark = pytest.mark.tensorflow
CODE = """
import keras

def build(context):
    inputs = keras.Input((4, 4), name="image", dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 16)(inputs))
    x = keras.layers.Dropout(0.2)(keras.layers.Dense(8, activation="relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, write_data(tmp_path / "data", {"train": [24, 24], "eval": [6], "test": [6]}))


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 200.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "too slow"
        time.sleep(0.02)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the process ids of train's workers, in order of rank."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return sorted(map(int, children))


@pytest.fixture
def endless(trainer: Trainer) -> Iterator[subprocess.Popen[str]]:
    """A training of two workers that goes on for long, past its first checkpoint."""
    flags = ["--workers=2", "--silence-seconds=10", '--hyperparameters={"epochs": 100000, "global_batch": 6}']
    process = subprocess.Popen(trainer.command("endless", *flags), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(trainer.checkpoints("endless")) > 1, process)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("rank", "sent", "says"),
    [
        (1, signal.SIGKILL, r"worker 1 of 2 was killed (SIGKILL: by hand, or for memory); run it again"),
        (1, signal.SIGSTOP, r"worker 1 of 2 stopped answering"),
        pytest.param(0, signal.SIGKILL, r"worker 0 of 2 was killed (SIGKILL: by hand", marks=pytest.mark.long),
        pytest.param(1, signal.SIGTERM, r"worker 1 of 2: the step was asked to stop", marks=pytest.mark.long),
    ],
    ids=["killed", "frozen", "chief killed", "ended"],
)
def test_a_lost_worker_ends_the_run_with_a_sentence(
    endless: subprocess.Popen[str], rank: int, sent: signal.Signals, says: str
) -> None:
    pids = workers_of(endless)
    os.kill(pids[rank], sent)
    _, log = endless.communicate(timeout=60)
    assert endless.returncode == 75
    assert says in log.splitlines()[-1]
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_sigterm_ends_the_workers_too(endless: subprocess.Popen[str], trainer: Trainer) -> None:
    pids = workers_of(endless)
    endless.terminate()
    _, log = endless.communicate(timeout=60)
    assert endless.returncode == 75
    assert "SIGTERM" in log.splitlines()[-1]
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert trainer.result("endless").status == "failed"
    assert len(trainer.result("endless").details["history"]) >= 2


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_killed_training_goes_on_with_the_same_history(trainer: Trainer, workers: int) -> None:
    flags = [f"--workers={workers}", "--entry=mine:build", '--hyperparameters={"epochs": 30, "global_batch": 6}']
    (trainer.root / "mine.py").write_text(CODE)
    environment = os.environ | {"PYTHONPATH": str(trainer.root)}
    process = subprocess.Popen(trainer.command("cut", *flags), env=environment, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(trainer.checkpoints("cut")) > 2, process)
    pids = workers_of(process)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 60
    while [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, "workers outlive their train"
        time.sleep(0.05)
    assert trainer.result("cut").status == "running"
    *_, before, newest = trainer.checkpoints("cut")
    (newest / "state.npz").write_bytes(b"half")
    steps = -(-48 // 6)
    again = trainer.train("cut", *flags, code=CODE)
    assert again.returncode == 0, again.stderr
    assert f"checkpoints/{newest.name} is damaged" in again.stderr
    assert trainer.result("cut").details["resumed_from_epoch"] == int(before.name) // steps
    whole = trainer.train("whole", *flags, code=CODE)
    assert whole.returncode == 0, whole.stderr
    assert len(trainer.history("cut")) == 30
    for mine, wanted in zip(trainer.history("cut"), trainer.history("whole"), strict=True):
        assert mine == pytest.approx(wanted, rel=1e-6, abs=1e-6)


CAN_MOUNT = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not CAN_MOUNT, reason="unshare -rm is not allowed here, so no small tmpfs can be mounted")
def test_a_disk_that_is_full_at_a_checkpoint_is_said(trainer: Trainer) -> None:
    (trainer.root / "store").mkdir()
    flags = ["--workers=1", '--hyperparameters={"epochs": 50, "units": 20000}']  # 4 MB a checkpoint with Adam's moments
    mounted = 'mount -t tmpfs -o size=10m none "$0" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mounted, str(trainer.root / "store"), *trainer.command("full", *flags)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 65, done.stderr
    last = done.stderr.splitlines()[-1]
    assert "the checkpoint after step " in last
    assert "is full; free space there" in last
