"""Checkpoints without TensorFlow: the newest intact one of the same training is found, others are passed over."""

import logging
from pathlib import Path

import pytest

from colchis_steps._blobs import scan
from colchis_steps._formats import encode
from colchis_steps._reports import Epoch
from colchis_steps._training_checkpoints import Checkpoint, directory, newest


def write(top: Path, epoch: int, fingerprint: str = "mine") -> Path:
    path = directory(top, epoch)
    path.mkdir(parents=True)
    (path / "variables.index").write_bytes(b"index")
    (path / "variables.data-00000-of-00001").write_bytes(bytes(epoch) * 100)
    history = tuple(Epoch(e, {"loss": 1.0 / e}, {}, 0.1) for e in range(1, epoch + 1))
    about = Checkpoint(epoch=epoch, fingerprint=fingerprint, files=tuple(scan(path)), history=history)
    (path / "checkpoint.json").write_bytes(encode(about))
    return path


def test_the_newest_one_is_found(tmp_path: Path) -> None:
    for epoch in (8, 9, 10):
        write(tmp_path, epoch)
    found = newest(tmp_path, "mine")
    assert found is not None
    assert (found.epoch, len(found.history)) == (10, 10)


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert newest(tmp_path / "absent", "mine") is None


@pytest.mark.parametrize("name", ["variables.index", "variables.data-00000-of-00001", "checkpoint.json"])
@pytest.mark.parametrize("kind", ["truncated", "missing"])
def test_a_damaged_one_is_passed_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, kind: str
) -> None:
    write(tmp_path, 3)
    victim = write(tmp_path, 4) / name
    victim.unlink() if kind == "missing" else victim.write_bytes(victim.read_bytes()[:-3])
    with caplog.at_level(logging.WARNING, "colchis"):
        found = newest(tmp_path, "mine")
    assert found is not None
    assert found.epoch == 3
    assert "epoch-00004 is damaged" in caplog.text


def test_one_of_another_training_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, 5, "other")
    assert newest(tmp_path, "mine") is None
    assert "other data, code or hyper-parameters" in caplog.text


def test_an_unfinished_write_is_no_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, 2)
    write(tmp_path, 3).rename(tmp_path / ".incomplete-x")
    found = newest(tmp_path, "mine")
    assert found is not None
    assert found.epoch == 2
