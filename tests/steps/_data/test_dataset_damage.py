"""Damaged data: every shard is checked before it is used, and the sentence names it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.steps.training_data import rows, shard_of, write_data, write_manifest

from colchis_steps._data.dataset import open_data
from colchis_steps._formats.data_v1 import DataManifest
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store


def manifest(directory: Path) -> DataManifest:
    return read_document(open_store(directory.as_uri()), "manifest.json", DataManifest)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_data(tmp_path / "set", {"train": [6, 6], "eval": [3], "test": [3]})
    return tmp_path / "set"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda content: content[:-20], r"train-00001\.npz .* damaged: \d+ bytes instead of \d+"),
        (lambda content: content[:200] + b"\xff" + content[201:], r"train-00001\.npz .* damaged: sha256"),
        (lambda content: b"", r"train-00001\.npz .* damaged: 0 bytes"),
    ],
    ids=["truncated", "flipped", "emptied"],
)
def test_damaged_shard_is_named(directory: Path, spoil: Callable[[bytes], bytes], says: str) -> None:
    shard = directory / "train-00001.npz"
    shard.write_bytes(spoil(shard.read_bytes()))
    with pytest.raises(InputError, match=says):
        list(open_data(directory.as_uri()).batches("train", 4))


def test_missing_shard_is_named(directory: Path) -> None:
    (directory / "train-00000.npz").unlink()
    with pytest.raises(InputError, match=r"has no train-00000\.npz"):
        list(open_data(directory.as_uri()).batches("train", 4))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image": np.zeros((6, 4, 4), np.float32)}, r"'image' .* float32\[6, 4, 4\] instead of uint8\[6, 4, 4\]"),
        ({"image": np.zeros((6, 5, 4), np.uint8)}, r"uint8\[6, 5, 4\] instead of uint8\[6, 4, 4\]"),
        ({"image": np.zeros((5, 4, 4), np.uint8)}, r"uint8\[5, 4, 4\] instead of uint8\[6, 4, 4\]"),
        ({"label": np.array([0, 1, 2, 3, 0, 1])}, r"'label' .* labels 0 to 3, but there are 3 classes"),
        ({"label": np.array([0, 1, 2, -1, 0, 1])}, r"'label' .* labels -1 to 2"),
    ],
    ids=["dtype", "shape", "rows", "label above", "label below"],
)
def test_shard_unlike_its_schema_is_refused(directory: Path, change: dict[str, np.ndarray], says: str) -> None:
    found = manifest(directory)
    shard = shard_of(directory, "train-00000.npz", rows(6, 1) | change)
    write_manifest(directory, found.splits | {"train": (shard,)})
    with pytest.raises(InputError, match=says):
        list(open_data(directory.as_uri()).batches("train", 4))


def test_pickles_are_never_loaded(directory: Path) -> None:
    found = manifest(directory)
    evil = np.array([{"a": 1}] * 6, dtype=object)
    shard = shard_of(directory, "train-00000.npz", rows(6, 1) | {"image": evil})
    write_manifest(directory, found.splits | {"train": (shard,)})
    with pytest.raises(InputError, match="not an npz of plain arrays"):
        list(open_data(directory.as_uri()).batches("train", 4))


def test_shard_that_lacks_a_column_is_refused(directory: Path) -> None:
    found = manifest(directory)
    shard = shard_of(directory, "train-00000.npz", {"label": rows(6, 1)["label"]})
    write_manifest(directory, found.splits | {"train": (shard,)})
    with pytest.raises(InputError, match="lacks the column 'image'"):
        list(open_data(directory.as_uri()).batches("train", 4))


def test_altered_manifest_is_refused(directory: Path) -> None:
    path = directory / "manifest.json"
    path.write_text(path.read_text().replace('"maximum":16.0', '"maximum":17.0'))
    with pytest.raises(InputError, match=r"manifest\.json is altered"):
        open_data(directory.as_uri())


def test_absent_and_empty_splits_are_named(tmp_path: Path) -> None:
    data = open_data(write_data(tmp_path / "set", {"train": [3], "eval": []}))
    with pytest.raises(InputError, match="no split 'test', only train, eval"):
        data.shards("test")
    with pytest.raises(InputError, match=r"split 'eval' .* has no rows"):
        next(data.batches("eval", 4))


def test_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere is not there .*manifest\.json"):
        open_data((tmp_path / "nowhere").as_uri())
