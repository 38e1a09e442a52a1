"""Epochs in the store's history are asked for about as often as they can change, and read only when they have."""

from pathlib import Path

import pytest

from colchis_steps._formats.runs import Epoch
from colchis_steps._formats.training import History
from colchis_steps._store.api import Entry
from colchis_steps._store.directory import FileStore
from colchis_steps._training.backends.epochs import StoredEpochs
from colchis_steps._training.files import noted_epochs, write_history


class Counting(FileStore):
    """A directory that counts what it is asked."""

    looks = reads = 0

    def find(self, key: str) -> Entry | None:
        self.looks += 1
        return super().find(key)

    def read(self, key: str, most: int | None = None) -> bytes:
        self.reads += 1
        return super().read(key, most)


def history(count: int) -> History:
    return History("key", tuple(Epoch(epoch=n, train={}, eval={}, seconds=60.0) for n in range(1, count + 1)))


@pytest.mark.parametrize(("seconds", "looks"), [(1, 1), (10, 9), (60, 16), (600, 35)])
def test_an_epoch_costs_one_read_and_few_looks_and_is_seen_soon(tmp_path: Path, seconds: int, looks: int) -> None:
    store, now = Counting(tmp_path / "store"), 0.0
    found = StoredEpochs(store, "run", "key", lambda: now)
    for epoch in range(1, 5):
        finished = now = epoch * float(seconds)
        write_history(store, "run", history(epoch), tmp_path / "worker-0")
        while found.count() < epoch:
            now += 0.5
        assert now - finished <= max(1.0, min(30.0, seconds / 4)) + 0.5
        before = store.looks
        while now < finished + seconds - 0.5:
            now += 0.5
            assert found.count() == epoch
        assert store.looks - before <= looks
    assert store.reads == 4


def test_the_history_of_another_training_counts_for_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    write_history(store, "run", history(3), tmp_path / "worker-0")
    assert StoredEpochs(store, "run", "other", lambda: 0.0).count() == 0
    assert StoredEpochs(store, "run", "key", lambda: 0.0).count() == 3


def test_a_train_beside_the_workers_needs_no_store(tmp_path: Path) -> None:
    assert noted_epochs(tmp_path) == 0
    write_history(FileStore(tmp_path / "store"), "run", history(3), tmp_path / "worker-0")
    assert noted_epochs(tmp_path) == 3
