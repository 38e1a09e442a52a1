"""Checkpoints without TensorFlow: the newest intact one of the same training is found, others are passed over."""

import logging
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from colchis_steps._formats.keys import checkpoint_key
from colchis_steps._formats.runs import Epoch
from colchis_steps._formats.training import Checkpoint
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store
from colchis_steps._training import checkpoints
from colchis_steps._training.checkpoints import Writer, newest, write
from colchis_steps._training.files import find_history


@pytest.fixture
def place(tmp_path: Path) -> Objects:
    return open_store((tmp_path / "store").as_uri())


def at(step: int, fingerprint: str = "mine") -> Checkpoint:
    history = tuple(Epoch(e, {"loss": 1.0 / e}, {}, 0.1) for e in range(1, step // 10 + 1))
    return Checkpoint(step=step, batches=step % 10, rows=0, loss=0.0, fingerprint=fingerprint, history=history)


def put(store: Objects, directory: Path, step: int, fingerprint: str = "mine") -> None:
    write(store, "r", at(step, fingerprint), {"model/0000": np.arange(step)}, directory)


def directory(tmp_path: Path, step: int) -> Path:
    return tmp_path / "store" / checkpoint_key("r", step, "")


def test_the_newest_one_is_found_and_the_last_three_stay(store: Objects, tmp_path: Path) -> None:
    for step in (7, 10, 25, 30):
        put(store, tmp_path, step)
    found = newest(store, "r", "mine")
    assert found is not None
    assert (found[0].step, len(found[0].history)) == (30, 3)
    assert found[1]["model/0000"].tolist() == list(range(30))
    left = {key.split("/")[4] for key in store.keys("runs/r/training/checkpoints/")}
    assert left == {"0000000010", "0000000025", "0000000030"}
    assert len(find_history(store, "r", "mine")) == 3
    assert find_history(store, "r", "other") == ()


def test_nothing_is_found_where_nothing_is(place: Objects) -> None:
    assert newest(place, "r", "mine") is None


@pytest.mark.parametrize("name", ["state.npz", "checkpoint.json"])
@pytest.mark.parametrize("kind", ["truncated", "missing", "altered"])
def test_a_damaged_one_is_passed_over_with_a_warning(
    place: Objects, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, kind: str
) -> None:
    put(place, tmp_path, 3)
    put(place, tmp_path, 4)
    victim = directory(tmp_path, 4) / name
    content = victim.read_bytes()
    victim.unlink()
    if kind != "missing":
        victim.write_bytes(content[:-3] + (b"" if kind == "truncated" else b"odd"))
    with caplog.at_level(logging.WARNING, "colchis"):
        found = newest(place, "r", "mine")
    assert found is not None
    assert found[0].step == 3
    unfinished = (kind, name) == ("missing", "checkpoint.json")  # as a write that was cut off leaves it
    assert ("checkpoints/0000000004 is damaged" in caplog.text) is not unfinished
    put(place, tmp_path, 4)
    again = newest(place, "r", "mine")
    assert again is not None
    assert again[0].step == 4


def test_one_of_another_training_is_not_used_and_goes(
    place: Objects, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(place, tmp_path, 50, "other")
    assert newest(place, "r", "mine") is None
    assert "other data, code or hyper-parameters" in caplog.text
    put(place, tmp_path, 2)
    found = newest(place, "r", "mine")
    assert found is not None
    assert found[0].step == 2
    assert not directory(tmp_path, 50).exists()


def test_a_writer_drops_what_is_overtaken(place: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, begun, go_on = [], threading.Event(), threading.Event()

    def slow(store: Objects, run: str, found: Checkpoint, arrays: object, workdir: Path) -> None:
        written.append(found.step)
        begun.set()
        assert go_on.wait(20)

    monkeypatch.setattr(checkpoints, "write", slow)
    writer = Writer(place, "r", tmp_path)
    writer.save(at(1), {})
    assert begun.wait(20)
    for step in (2, 3, 4):
        writer.save(at(step), {})
    go_on.set()
    writer.wait()
    assert written == [1, 4]


def test_a_write_that_fails_is_told_to_who_trains(place: Objects, tmp_path: Path) -> None:
    writer = Writer(place, "r", tmp_path / "absent")
    writer.save(at(1), {"a": np.zeros(1)})
    with pytest.raises(InputError, match=r"cannot be written to .*absent .No such file"):
        writer.wait()
    with pytest.raises(InputError):
        writer.save(at(2), {})


ENDLESS = """
import pathlib, sys
import numpy as np
from colchis_steps._store.opening import open_store
from colchis_steps._formats.training import Checkpoint
from colchis_steps._training.checkpoints import write
store, step = open_store(sys.argv[1]), 0
while True:
    step += 1
    about = Checkpoint(step=step, batches=0, rows=0, loss=0.0, fingerprint="mine", history=())
    write(store, "r", about, {"a": np.full(500_000, step)}, pathlib.Path(sys.argv[2]))
    print(step, flush=True)
"""


@pytest.mark.servers
def test_a_writer_killed_in_the_middle_leaves_whole_checkpoints_only(place: Objects, tmp_path: Path) -> None:
    for i in range(6):
        command = [sys.executable, "-c", ENDLESS, place.url, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for _ in range(3):
                written = int(process.stdout.readline())
            threading.Event().wait(0.004 * i)  # somewhere within the next write
            process.kill()
        found = newest(place, "r", "mine")
        assert found is not None
        assert found[0].step >= written
        assert (found[1]["a"] == found[0].step).all()
        for key in list(place.keys("runs/")):
            place.delete(key)
