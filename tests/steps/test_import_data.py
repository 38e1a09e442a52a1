import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colchis_steps._data import fashion as _fashion
from colchis_steps._data.dataset import open_data
from colchis_steps._data.rows import divide, row_hashes, shard_bytes, shards_of
from colchis_steps.import_data import main


def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str], *flags: str, name: str = "digits") -> str:
    assert main([name, "--to", f"file://{tmp_path}/store", *flags]) == 0
    return capsys.readouterr().out.strip()


def files(tmp_path: Path) -> dict[Path, tuple[int, bytes]]:
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "store" / "data").rglob("*") if p.is_file()}


def test_digits_become_three_splits_that_share_no_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = imported(tmp_path, capsys)
    data = open_data(uri)
    assert uri == f"file://{tmp_path}/store/data/digits/{data.manifest.digest.removeprefix('sha256:')[:16]}"
    assert [data.rows(split) for split in ("train", "eval", "test")] == [1258, 270, 269]
    assert [shard.rows for shard in data.shards("train")] == [512, 512, 234]
    image, label = data.manifest.columns
    assert (image.dtype, image.shape, image.minimum, image.maximum) == ("uint8", (8, 8), 0, 16)
    assert (label.dtype, label.classes) == ("int64", tuple("0123456789"))
    hashes = [
        set(row_hashes({"image": data.read(shard)["image"]}).tolist())
        for split in data.manifest.splits
        for shard in data.shards(split)
    ]
    assert len(set().union(*hashes)) == sum(map(len, hashes)) == 1797
    labels = np.concatenate([data.read(shard)["label"] for shard in data.shards("test")])
    assert np.bincount(labels).min() >= 26


def test_an_import_says_where_the_test_rows_tell_little(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["digits", "--to", f"file://{tmp_path}/store"]) == 0
    assert "the split test: 269 rows tell little: where two models differ on 5 % of them" in caplog.text


def test_the_same_again_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = imported(tmp_path, capsys)
    before = files(tmp_path)
    assert imported(tmp_path, capsys) == first
    assert files(tmp_path) == before


def test_an_import_that_was_killed_is_completed_and_a_damaged_shard_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = Path(imported(tmp_path, capsys).removeprefix("file://"))
    whole = {path.name: path.read_bytes() for path in directory.iterdir()}
    (directory / "manifest.json").unlink()
    (directory / "test-00000.npz").unlink()
    (directory / "eval-00000.npz").write_bytes(b"rubbish")
    imported(tmp_path, capsys)
    now = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert {name: content for name, content in now.items() if name.endswith(".npz")} == {
        name: content for name, content in whole.items() if name.endswith(".npz")
    }
    assert "manifest.json" in now


def test_shard_rows_change_the_files_and_so_the_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = imported(tmp_path, capsys, "--shard-rows=100")
    assert uri != imported(tmp_path, capsys)
    assert [shard.rows for shard in open_data(uri).shards("eval")] == [100, 100, 70]


def test_digits_take_no_directory(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["digits", "--to=file:///nowhere", "--from=/tmp"])
    assert "scikit-learn" in capsys.readouterr().err


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=80))
def test_a_division_is_a_partition_that_keeps_equal_rows_together(rows: list[tuple[int, int]]) -> None:
    hashes = np.array([value for value, _ in rows], np.uint64)
    labels = np.array([label for _, label in rows], np.int64)
    splits = divide(hashes, labels, {"train": 0.7, "eval": 0.15, "test": 0.15})
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(len(rows)))
    found = [set(hashes[numbers].tolist()) for numbers in splits.values()]
    assert sum(map(len, found)) == len(set().union(*found))


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=200))
def test_a_division_has_the_shares_in_every_class(classes: list[int]) -> None:
    labels = np.array(classes, np.int64)
    hashes = row_hashes({"number": np.arange(len(labels))})
    splits = divide(hashes, labels, {"train": 0.7, "eval": 0.15, "test": 0.15})
    for label in set(classes):
        count = classes.count(label)
        assert abs((labels[splits["train"]] == label).sum() - 0.7 * count) <= 0.5


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(1, 20))
def test_shards_are_a_partition_in_order(rows: int, size: int) -> None:
    shards = shards_of(np.arange(rows), size)
    assert [row for shard in shards for row in shard] == list(range(rows))
    assert all(0 < len(shard) <= size for shard in shards)


def test_a_shard_is_plain_npz_with_bytes_that_repeat(tmp_path: Path) -> None:
    arrays = {"image": np.arange(8, dtype=np.uint8).reshape(2, 2, 2), "label": np.array([1, 0])}
    content = shard_bytes(arrays)
    assert content == shard_bytes(dict(reversed(arrays.items())))
    (tmp_path / "a.npz").write_bytes(content)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert {name: found[name].tolist() for name in found} == {name: a.tolist() for name, a in arrays.items()}


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype("u1").tobytes()


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    random, directory = np.random.default_rng(1), tmp_path / "fashion"
    directory.mkdir()
    test = random.integers(0, 256, (20, 28, 28))
    train = random.integers(0, 256, (120, 28, 28))
    train[5] = test[3]
    for stem, images in (("train", train), ("t10k", test)):
        (directory / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (directory / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(len(images)) % 10)))
    return directory


def test_fashion_mnist_keeps_its_test_split_and_leaks_nothing(
    tmp_path: Path, fashion: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "colchis")
    data = open_data(imported(tmp_path, capsys, f"--from={fashion}", name="fashion-mnist"))
    assert [data.rows(split) for split in ("train", "eval", "test")] == [99, 20, 20]
    assert data.classes[9] == "Ankle boot"
    assert data.features["image"].shape == (28, 28)
    assert "left out 1 rows" in caplog.text
    assert "is not the published file" in caplog.text


def replaced(fashion: Path, name: str, content: bytes) -> list[str]:
    (fashion / name).write_bytes(content)
    return ["fashion-mnist", f"--from={fashion}", f"--to=file://{fashion.parent}/store"]


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (IMAGES, b"no gzip", "corrupt or truncated"),
        (IMAGES, gzip.compress(idx(np.zeros((3, 28, 28))))[:-9], "corrupt or truncated"),
        (IMAGES, gzip.compress(b""), "begins with nothing"),
        (IMAGES, gzip.compress(idx(np.zeros((3, 28)))), "in 3 dimensions"),
        (IMAGES, gzip.compress(idx(np.zeros((3, 8, 8)))), "rows of shape (8, 8) where (28, 28)"),
        (IMAGES, gzip.compress(idx(np.zeros((3, 28, 28)))[:-1]), "holds 2351 of the 2352 bytes"),
        (IMAGES, gzip.compress(idx(np.zeros((3, 28, 28))) + b"x"), "holds more than the 2352 bytes"),
        (IMAGES, gzip.compress(idx(np.zeros((3, 28, 28)))), "3 images"),
        (LABELS, gzip.compress(idx(np.full(120, 10))), "label 10, where 9 is the last"),
        (LABELS, gzip.compress(bytes((0, 0, 8, 1, 0))), "corrupt or truncated"),
    ],
    ids=["no-gzip", "cut", "empty", "rank", "shape", "short", "long", "counts", "label", "header"],
)
def test_corrupt_idx_files_are_refused_by_name(
    fashion: Path, name: str, content: bytes, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(replaced(fashion, name, content)) == 65
    assert words in caplog.text
    assert str(fashion / name) in caplog.text
    assert not (fashion.parent / "store").exists()


def test_missing_files_are_named(fashion: Path, caplog: pytest.LogCaptureFixture) -> None:
    (fashion / IMAGES).unlink()
    assert main(["fashion-mnist", f"--from={fashion}", "--to=file:///nowhere"]) == 65
    assert f"{fashion} lacks {IMAGES};" in caplog.text


def test_published_digests_are_sha256() -> None:
    for size, sha256 in _fashion.FILES.values():
        assert size > 0
        assert len(bytes.fromhex(sha256)) == hashlib.sha256().digest_size


def test_a_name_that_is_no_data_set_is_told_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["digit", "--to=file:///nowhere"])
    assert "digit is none of colours, colours-transfer, digits" in capsys.readouterr().err
