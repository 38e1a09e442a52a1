"""Batches: the same global batches for any number of workers, each row once, in bounded memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.steps.training_data import write_data

from colchis_steps._data import reader
from colchis_steps._data.dataset import Batch, DataSet, open_data
from colchis_steps._data.shards import read_npz as whole
from colchis_steps._formats.data import Shard
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects


def real_rows(batch: Batch) -> list[bytes]:
    return [row.tobytes() for row, weight in zip(batch.features["image"], batch.weights, strict=True) if weight]


def global_batches(data: DataSet, size: int, workers: int, **how: Any) -> list[list[bytes]]:
    parts = [list(data.batches("train", size, rank=rank, workers=workers, **how)) for rank in range(workers)]
    assert len({len(part) for part in parts}) == 1, "a worker with more steps than the others would wait for ever"
    assert {len(batch.labels) for part in parts for batch in part} == {-(-size // workers)}
    return [sorted(row for batch in step for row in real_rows(batch)) for step in zip(*parts, strict=True)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    sizes = {"train": [7, 5, 1, 9, 3, 6], "eval": [4], "test": [4], "void": []}
    return open_data(write_data(tmp_path_factory.mktemp("data") / "set", sizes))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, 40), workers=st.integers(1, 5), seed=st.integers(0, 9), epoch=st.integers(1, 3))
def test_any_number_of_workers_sees_the_same_global_batches(
    data: DataSet, size: int, workers: int, seed: int, epoch: int
) -> None:
    alone = global_batches(data, size, 1, seed=seed, epoch=epoch)
    assert global_batches(data, size, workers, seed=seed, epoch=epoch) == alone
    assert sum(map(len, alone)) == data.rows("train") == 31
    assert len(alone) == -(-31 // size)


def test_order_depends_on_seed_and_epoch_alone(data: DataSet) -> None:
    first = [real_rows(b) for b in data.batches("train", 8, seed=1, epoch=1)]
    assert first == [real_rows(b) for b in data.batches("train", 8, seed=1, epoch=1)]
    assert first != [real_rows(b) for b in data.batches("train", 8, seed=1, epoch=2)]
    assert first != [real_rows(b) for b in data.batches("train", 8, seed=2, epoch=1)]


def test_without_a_seed_rows_keep_their_order(data: DataSet) -> None:
    stored = np.concatenate([data.read(shard)["image"] for shard in data.shards("train")])
    found = [row for batch in data.batches("train", 8) for row in real_rows(batch)]
    assert found == [row.tobytes() for row in stored]


def test_weights_and_total_count_each_row_once(data: DataSet) -> None:
    for rank in range(3):
        *_, last = data.batches("train", 8, rank=rank, workers=3)
        assert last.total == 31 % 8
        assert last.labels.dtype == np.int64
        assert last.weights.dtype == np.float32
    weights = [b.weights.sum() for rank in range(3) for b in data.batches("train", 8, rank=rank, workers=3)]
    assert sum(weights) == 31


def test_shards_that_do_not_fit_are_read_anew(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "KEPT", 0)
    fresh = open_data(data.uri)
    assert global_batches(fresh, 8, 2, seed=3) == global_batches(data, 8, 2, seed=3)
    assert not fresh._reader.kept


@pytest.mark.parametrize(("skip", "expected"), [(0, 6), (3, 6), (4, 0)])  # the first 4 shards have 25 rows
def test_batches_after_a_skip_are_the_same_and_read_no_more_than_they_need(
    data: DataSet, monkeypatch: pytest.MonkeyPatch, skip: int, expected: int
) -> None:
    wanted = [real_rows(b) for b in data.batches("train", 8, seed=5, epoch=2)][skip:]
    monkeypatch.setattr(reader, "KEPT", 0)
    fresh, read = open_data(data.uri), list[str]()

    def spy(store: Objects, shard: Shard) -> dict[str, np.ndarray]:
        read.append(shard.path)
        return whole(store, shard)

    monkeypatch.setattr(reader, "read_npz", spy)
    assert [real_rows(b) for b in fresh.batches("train", 8, seed=5, epoch=2, skip=skip)] == wanted
    assert len(read) == expected


def test_parts_divide_the_rows_of_each_worker(data: DataSet) -> None:
    found = [b for rank in range(2) for b in data.batches("train", 10, rank=rank, workers=2, parts=4)]
    assert {len(b.labels) for b in found} == {8}
    assert sum(b.weights.sum() for b in found) == 31


def test_blocks_of_the_users_are_held_against_the_columns(data: DataSet) -> None:
    block: dict[str, Any] = {"image": np.zeros((5, 4, 4), np.uint8), "label": np.arange(5) % 3}
    assert [b.total for b in data.batches("train", 4, blocks=[block, block])] == [4, 4, 2]
    assert [b.total for b in data.batches("train", 4, blocks=[block, block], skip=2)] == [2]
    with pytest.raises(InputError, match=r"column 'image' in a block of rows for 'train' is float64\[5, 4, 4\]"):
        list(data.batches("train", 4, blocks=[block | {"image": block["image"] / 2}]))
    with pytest.raises(InputError, match="column 'image' in a block of rows for 'train' is a memoryview, not a NumPy"):
        list(data.batches("train", 4, blocks=[block | {"image": memoryview(block["image"])}]))
    with pytest.raises(InputError, match="lacks the column 'label'; correct the entry's dataset function"):
        list(data.batches("train", 4, blocks=[{"image": block["image"]}]))


def test_features_leave_the_label_out(data: DataSet, tmp_path: Path) -> None:
    assert list(data.features) == ["image"]
    assert data.classes == ("a", "b", "c")
    assert set(next(data.batches("eval", 2)).features) == {"image"}
