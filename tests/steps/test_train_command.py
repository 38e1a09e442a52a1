"""The entry ``command:…``: any framework's program as a worker, with torchrun's environment; no TensorFlow here."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.steps.onnx_models import thirds
from tests.steps.training_data import Trainer, write_data

from colchis_steps._content.fetching import fetch_files
from colchis_steps._formats.keys import history_key
from colchis_steps._models.candidates import blobs_of
from colchis_steps._step.child import words_of
from colchis_steps._step.errors import InputError
from colchis_steps._store.directory import FileStore
from colchis_steps._store.opening import open_store
from colchis_steps._training.command import environment, master
from colchis_steps._training.rendezvous import Place
from colchis_steps.push_code import push
from colchis_steps.train import main

PROGRAM = """
import json, os, pathlib, sys, time
from colchis_steps.context import from_environment

context = from_environment()
print("begins on", sys.argv[1:], flush=True)
kept = pathlib.Path(os.environ["COLCHIS_CHECKPOINTS"])
done = len(list(kept.glob("epoch-*")))
for epoch in range(done + 1, 4):
    rows = sum(len(rows["label"]) for rows in context.blocks("train", epoch))
    with open(os.environ["COLCHIS_HISTORY"], "a") as history:
        print(json.dumps({"epoch": epoch, "train": {"loss": 1 / epoch}, "seconds": 0.1}), file=history)
    (kept / f"epoch-{epoch}").write_text(str(rows))
    (kept / ".half").write_text("")
    if context.hyperparameters.get("waits") and not done:
        print("waits", flush=True)
        time.sleep(600)
names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "COLCHIS_RUN")
told = {name: os.environ[name] for name in names}
export = pathlib.Path(os.environ["COLCHIS_EXPORT"])
if context.hyperparameters.get("share"):  # a place that all ranks see
    (pathlib.Path(context.hyperparameters["share"]) / f"rank-{context.rank}").write_text(json.dumps(told))
if context.hyperparameters.get("fails") == context.rank:
    sys.exit("the program does not like it")
if leaves := context.hyperparameters.get("leaves"):
    (export / leaves).write_text("no model")
    sys.exit()
if context.rank == 0 and not context.hyperparameters.get("lazy"):
    (export / "model.onnx").write_bytes(bytes.fromhex(sys.argv[2]))
    (export / "weights").mkdir()
    (export / "weights" / "w.txt").write_text(str([rows, done]))
"""

MODEL = thirds().SerializeToString().hex()


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    (tmp_path / "program.py").write_text(PROGRAM)
    return Trainer(tmp_path, write_data(tmp_path / "store/data/thirds/0", {"train": [24, 9], "eval": [6], "test": [6]}))


def flags(trainer: Trainer, workers: int, **given: Any) -> list[str]:
    words = f"command:{sys.executable} {trainer.root / 'program.py'} 'two words' {MODEL}"
    return [f"--workers={workers}", f"--entry={words}", f"--hyperparameters={json.dumps(given)}"]


@pytest.mark.servers
def test_each_rank_has_torchruns_environment_and_the_export_becomes_the_candidate(trainer: Trainer) -> None:
    share = trainer.root / "share"
    share.mkdir()
    done = trainer.train("r", *flags(trainer, 2, share=str(share)))
    assert done.returncode == 0, done.stderr
    assert "begins on ['two words'" in done.stderr
    found = [json.loads((share / f"rank-{rank}").read_text()) for rank in (0, 1)]
    assert [told.pop("RANK") for told in found] == ["0", "1"]
    assert found[0] == found[1] | {"LOCAL_RANK": "0"}
    assert found[1]["LOCAL_RANK"] == "1"  # on one machine, as torchrun counts
    assert (found[0]["WORLD_SIZE"], found[0]["MASTER_ADDR"], found[0]["COLCHIS_RUN"]) == ("2", "127.0.0.1", "r")
    candidate = trainer.candidate("r")
    fetch_files(blobs_of(open_store(trainer.store), "r"), candidate.files, trainer.root / "got")
    assert (trainer.root / "got/weights/w.txt").read_text() == "[33, 0]"
    assert candidate.format == "onnx"
    assert candidate.signature["inputs"] == {"image": {"dtype": "uint8", "shape": [None, 4, 4]}}
    assert candidate.data == "data/thirds/0", "relative, so that the store can be copied as a whole"
    assert candidate.frameworks["python"].startswith("3.")
    assert [row[0] for row in trainer.history("r")] == [1.0, 0.5, pytest.approx(1 / 3)]


@pytest.mark.servers
def test_a_train_beside_its_workers_asks_the_store_for_no_history(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, keys, code = FileStore.read, list[str](), trainer.root / "code"

    def counted(self: FileStore, key: str, most: int | None = None) -> bytes:
        keys.append(key)
        return read(self, key, most)

    code.mkdir()
    (code / "unused.py").write_text("")
    uri = push(open_store(trainer.store), code)
    monkeypatch.setattr(FileStore, "read", counted)
    monkeypatch.setenv("ARGO_PROGRESS_FILE", str(trainer.root / "progress"))
    assert main([*trainer.command("r", *flags(trainer, 1, epochs=3), f"--code={uri}")[3:]]) == 0
    assert (trainer.root / "progress").read_text() == "3/3\n"
    assert history_key("r") not in keys
    assert [key for key in keys if key.startswith("code/")] == []  # its digest is its name
    digest = f"sha256:{uri.rpartition('/')[2].removesuffix('.zip')}"
    assert trainer.candidate("r").code.digest == digest


@pytest.mark.servers
def test_a_command_that_is_asked_to_stop_goes_on_from_its_checkpoints(trainer: Trainer) -> None:
    command = trainer.command("r", *flags(trainer, 1, waits=True))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=trainer.root) as process:
        assert process.stderr
        for line in process.stderr:
            if "waits" in line:
                break
        process.send_signal(signal.SIGTERM)
        log = process.stderr.read()
        assert process.wait(30) == 75, log
    kept = trainer.root / "store/runs/r/training/command"
    names = [file["path"] for file in json.loads((kept / "files.json").read_text())["files"]]
    assert names == ["epoch-1"]
    again = trainer.train("r", *flags(trainer, 1, waits=True))
    assert again.returncode == 0, again.stderr
    assert "going on from what the command has left" in again.stderr
    fetch_files(blobs_of(open_store(trainer.store), "r"), trainer.candidate("r").files, trainer.root / "got")
    assert (trainer.root / "got/weights/w.txt").read_text() == "[33, 1]"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("workers", "given", "says"),
    [
        (2, {"fails": 1}, "ended with exit code 1: the program does not like it; its log says more"),
        (1, {"lazy": True}, "the command left no model"),
        (
            1,
            {"leaves": "forest.pkl"},
            "$COLCHIS_EXPORT has neither saved_model.pb nor model.onnx, but forest.pkl; write",
        ),
        (1, {"leaves": "model.onnx"}, "what is in $COLCHIS_EXPORT is not a model that onnxruntime"),
    ],
    ids=["fails", "no model", "pickle", "damaged"],
)
def test_a_command_that_fails_says_why(trainer: Trainer, workers: int, given: dict[str, Any], says: str) -> None:
    done = trainer.train("r", *flags(trainer, workers, **given))
    assert done.returncode == 65
    assert says in done.stderr.splitlines()[-1]


@pytest.mark.servers
def test_a_killed_worker_takes_its_command_along_and_is_the_one_to_blame(trainer: Trainer) -> None:
    command = trainer.command("r", *flags(trainer, 2, waits=True))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 60
    programs: list[str] = []
    while len(programs) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        pids = workers.read_text().split()
        programs = [c for pid in pids for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    os.kill(max(map(int, pids)), signal.SIGKILL)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "worker 1 of 2 was killed (SIGKILL" in log.splitlines()[-1]
    deadline = time.monotonic() + 10
    while [pid for pid in programs if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, "a command outlives its worker"
        time.sleep(0.05)


def test_words_are_a_shells_without_a_shell() -> None:
    assert words_of("command:python train.py --name 'a b' $HOME") == ["python", "train.py", "--name", "a b", "$HOME"]
    with pytest.raises(InputError, match="names no command"):
        words_of("command: ")
    with pytest.raises(InputError, match="No closing quotation"):
        words_of("command:python 'x")


def test_the_masters_port_is_free_and_the_environment_names_it() -> None:
    here = Place(1, ("127.0.0.1:0", "127.0.0.1:0"))
    port = master(here)
    assert 0 < int(port) < 65536
    found = environment(here, port, {"RUN": "r"})
    assert (found["MASTER_PORT"], found["RANK"], found["WORLD_SIZE"], found["COLCHIS_RUN"]) == (port, "1", "2", "r")
