"""Workers as a cluster starts them: by themselves, with the environment of their back-end and its exit code."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.steps.training_data import Trainer, write_data

from colchis_steps._step.polling import poll
from colchis_steps.worker import beating

TFJOBS = 143  # the code after which the training operator starts a worker again
ENDLESS = '{"epochs": 100000, "global_batch": 6}'


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path, write_data(tmp_path / "data", {"train": [24, 24], "eval": [6], "test": [6]}))


def test_nothing_is_touched_any_more_when_the_directory_goes(tmp_path: Path) -> None:
    """A file made anew while a directory is removed fails a training that has succeeded."""
    path = tmp_path / "worker-0.alive"
    with beating(path, 0.01):
        path.unlink()
        assert poll(lambda: path.exists() or None, 10)
        assert [thread for thread in threading.enumerate() if thread.name == "alive"]
    assert not [thread for thread in threading.enumerate() if thread.name == "alive"]


@contextlib.contextmanager
def workers(trainer: Trainer, ranks: list[int], *flags: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Start these ones of two workers, each with the TF_CONFIG that an operator would give it."""
    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(socket.create_server(("127.0.0.1", 0), reuse_port=True)) for _ in range(2)]
        addresses = [f"127.0.0.1:{holder.getsockname()[1]}" for holder in holders]
    base = [f"--store={trainer.store}", "--run=r", "--model=thirds", f"--data={trainer.data}"]
    started = []
    for rank in ranks:
        config = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}})
        environment = os.environ | {"TF_CONFIG": config, "TF_CPP_MIN_LOG_LEVEL": "3"}
        words = [sys.executable, "-m", "colchis_steps.worker", *base, f"--workdir={trainer.root / str(rank)}", *flags]
        started.append(subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True))
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()


@pytest.mark.servers
def test_a_worker_whose_peer_never_comes_names_it_and_ends_with_its_back_ends_code(trainer: Trainer) -> None:
    flags = ["--entry=command:true", "--rendezvous-seconds=1", f"--retry-exit-code={TFJOBS}"]
    with workers(trainer, [0], *flags) as (chief,):
        _, log = chief.communicate(timeout=60)
    assert chief.returncode == TFJOBS
    assert "worker 1 of 2, host 127.0.0.1:" in log.splitlines()[-1]
    assert "not reachable after 1 s; look whether it was started" in log.splitlines()[-1]


@pytest.mark.servers
def test_a_command_that_is_asked_to_stop_ends_its_worker_with_its_back_ends_code(trainer: Trainer) -> None:
    program = trainer.root / "program.sh"
    program.write_text("touch $COLCHIS_CHECKPOINTS/begun; exec sleep 600\n")
    flags = [f"--entry=command:sh {program}", f"--retry-exit-code={TFJOBS}"]
    with workers(trainer, [0, 1], *flags) as (_, other):
        deadline = time.monotonic() + 60
        while not list((trainer.root / "1").rglob("begun")):
            assert other.poll() is None, other.communicate()
            assert time.monotonic() < deadline, "too slow"
            time.sleep(0.02)
        other.send_signal(signal.SIGTERM)
        _, log = other.communicate(timeout=60)
    assert other.returncode == TFJOBS, log
    assert "SIGTERM" in log.splitlines()[-1]


@pytest.mark.long
@pytest.mark.tensorflow
def test_sigterm_to_one_saves_all_and_each_ends_with_its_back_ends_code(trainer: Trainer) -> None:
    flags = ["--entry=colchis_steps.classifier:build", f"--hyperparameters={ENDLESS}", f"--retry-exit-code={TFJOBS}"]
    with workers(trainer, [0, 1], *flags) as (chief, other):
        deadline = time.monotonic() + 250
        while not trainer.checkpoints("r"):
            assert chief.poll() is None, chief.communicate()
            assert time.monotonic() < deadline, "too slow"
            time.sleep(0.02)
        other.send_signal(signal.SIGTERM)
        logs = [process.communicate(timeout=60)[1].splitlines()[-1] for process in (chief, other)]
    assert (chief.returncode, other.returncode) == (TFJOBS, TFJOBS), logs
    assert "a peer of worker 0 of 2 was asked to stop (SIGTERM); all is saved after step " in logs[0]
    assert "the step was asked to stop (SIGTERM); all is saved after step " in logs[1]
    step = int(logs[0].partition("after step ")[2].partition(":")[0])
    assert trainer.checkpoints("r")[-1].name == f"{step:010}"
