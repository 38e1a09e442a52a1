import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from colchis_steps import import_data
from colchis_steps._data.rows import shard_bytes
from colchis_steps._formats.data_v1 import Column, DataManifest, Shard, data_digest
from colchis_steps._formats.documents import encode
from colchis_steps._formats.profiles import QUANTILES, DataReport
from colchis_steps._formats.runs import StepResult
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps.validate_data import main

Splits = dict[str, list[dict[str, Any]]]
IMAGE = Column(name="image", dtype="uint8", shape=(2, 2), minimum=0.0, maximum=16.0)
LABEL = Column(name="label", dtype="int64", classes=("no", "yes"))


def shard(start: int, rows: int) -> dict[str, Any]:
    number = np.arange(start, start + rows)
    image = np.stack([number % 17, number // 17 % 17, number % 3, number % 5], axis=1).reshape(-1, 2, 2)
    return {"image": image.astype("uint8"), "label": number % 2}


def good() -> Splits:
    return {"train": [shard(0, 60), shard(60, 40)], "eval": [shard(100, 20)], "test": [shard(120, 20)]}


def written(
    directory: Path, splits: Splits, columns: tuple[Column, ...] = (IMAGE, LABEL), label: str = "label"
) -> Path:
    directory.mkdir()
    shards: dict[str, tuple[Shard, ...]] = {}
    for split, parts in splits.items():
        shards[split] = ()
        for i, arrays in enumerate(parts):
            path, content = f"{split}-{i:05}.npz", shard_bytes(arrays)
            (directory / path).write_bytes(content)
            rows, sha256 = len(arrays["label"]), hashlib.sha256(content).hexdigest()
            shards[split] += (Shard(path, rows, len(content), sha256),)
    publish(directory, shards, columns, label)
    return directory


def publish(directory: Path, shards: dict[str, tuple[Shard, ...]], columns: tuple[Column, ...], label: str) -> None:
    digest = data_digest("tiny", label, columns, shards)
    manifest = DataManifest("tiny", digest, label, columns, shards, "made here", "2026-01-01T00:00:00Z")
    (directory / "manifest.json").write_bytes(encode(manifest))


def checked(directory: Path, *flags: str) -> tuple[int, StepResult]:
    store = f"file://{directory.parent}/store"
    code = main([f"--store={store}", "--run=r", f"--data=file://{directory}", *flags])
    return code, read_document(open_store(store), "runs/r/validate_data.json", StepResult)


def change(splits: Splits, split: str, number: int, column: str, edit: Callable[[np.ndarray], Any]) -> Splits:
    part = splits[split][number]
    part[column] = edit(part[column].copy())
    return splits


def put(at: Any, value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def edit(array: np.ndarray) -> np.ndarray:
        array[at] = value
        return array

    return edit


def test_good_data_passes_and_is_profiled(tmp_path: Path) -> None:
    directory = written(tmp_path / "data", good())
    code, result = checked(directory, f"--digest-path={tmp_path}/digest")
    report = msgspec.convert(result.details, DataReport)
    assert (code, result.verdict) == (0, "pass")
    assert (tmp_path / "digest").read_text() == report.digest == result.outputs["digest"]
    assert [check.rule for check in report.checks if not check.passed] == []
    train = report.splits["train"]
    assert (train.rows, train.duplicates) == (100, 0)
    image, label = train.columns
    images = np.concatenate([part["image"] for part in good()["train"]])
    assert (image.minimum, image.maximum) == (0, 16)
    assert image.mean == pytest.approx(images.mean())
    assert image.edges == tuple(range(18))
    assert image.histogram == tuple(np.bincount(images.ravel()))
    assert image.quantiles == tuple(np.quantile(images, QUANTILES, method="inverted_cdf"))
    assert image.deviation == pytest.approx(images.std())
    assert label.classes == {"no": 50, "yes": 50}


def test_progress_counts_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGO_PROGRESS_FILE", str(tmp_path / "progress"))
    checked(written(tmp_path / "data", good()))
    size = sum(path.stat().st_size for path in (tmp_path / "data").glob("*.npz"))
    assert (tmp_path / "progress").read_text() == f"{size}/{size}\n"


def swapped(splits: Splits) -> Splits:
    splits["eval"][0]["image"][3:5] = splits["train"][1]["image"][7:9]
    return splits


BAD: dict[str, tuple[Callable[[], Splits], str]] = {
    "dtype": (
        lambda: change(good(), "train", 1, "image", lambda a: a / 16),
        "column 'image' of train-00001.npz has dtype float64 where the schema says uint8; write it as uint8",
    ),
    "shape": (
        lambda: change(good(), "eval", 0, "image", lambda a: a.reshape(-1, 4)),
        "column 'image' of eval-00000.npz has rows of shape (4,) where the schema says (2, 2)",
    ),
    "range": (
        lambda: change(good(), "test", 0, "image", put((2, 1, 1), 200)),
        "column 'image' of test-00000.npz has value 200 in row 2, outside 0 to 16 (1 such values)",
    ),
    "label": (
        lambda: change(good(), "train", 0, "label", put(slice(4, 6), 7)),
        "column 'label' of train-00000.npz has label 7 in row 4, outside 0 to 1 (2 such values)",
    ),
    "label-below": (
        lambda: change(good(), "train", 0, "label", put(0, -1)),
        "column 'label' of train-00000.npz has label -1 in row 0, outside 0 to 1",
    ),
    "missing-column": (
        lambda: {**good(), "test": [{"label": np.zeros(20, np.int64)}]},
        "test-00000.npz lacks column 'image'",
    ),
    "extra-column": (
        lambda: {**good(), "test": [{**shard(120, 20), "who": np.zeros(20)}]},
        "test-00000.npz has extra column 'who'",
    ),
    "uneven-columns": (
        lambda: {**good(), "test": [{**shard(120, 20), "image": shard(120, 19)["image"]}]},
        "test-00000.npz has 19 rows of 'image' where the manifest says 20",
    ),
    "no-split": (lambda: {"train": good()["train"]}, "data set 'tiny' lacks the split eval, test;"),
    "empty": (lambda: {"train": [], "eval": [], "test": []}, "data set 'tiny' is empty: no split has a row"),
    "empty-shard": (lambda: {**good(), "eval": [shard(0, 0)]}, "split 'eval' has 0 rows where min_rows says 1"),
    "leak": (lambda: swapped(good()), "2 rows of split 'eval' are also in 'train' (its row 3 is the first)"),
    "no-such-class": (
        lambda: (
            change(good(), "train", 0, "label", lambda a: a * 0)
            | {"train": [{**shard(0, 60), "label": np.zeros(60, np.int64)}]}
        ),
        "class 'yes' of label 'label' has 0 of 60 training rows",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_ends_with_65_and_names_column_and_rule(
    case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make, words = BAD[case]
    code, result = checked(written(tmp_path / "data", make()), f"--digest-path={tmp_path}/digest")
    assert code == 65
    assert result.message.startswith(words)
    assert caplog.messages[-1] == result.message
    assert (result.status, result.verdict) == ("failed", "fail")
    assert not (tmp_path / "digest").exists()


def test_nan_is_a_null(tmp_path: Path) -> None:
    columns = (Column(name="x", dtype="float32"), LABEL)
    rows = {"x": np.array([1, np.nan, 3, np.nan], np.float32), "label": np.array([0, 1, 0, 1])}
    splits: Splits = {name: [{**rows, "x": rows["x"] + i}] for i, name in enumerate(("train", "eval", "test"))}
    code, result = checked(written(tmp_path / "data", splits, columns))
    assert code == 65
    assert result.message.startswith(
        "column 'x' of train-00000.npz has 2 nulls (NaN), the first in row 1; fill them, or leave out their rows"
    )
    assert result.details["splits"]["train"]["columns"][0]["nulls"] == 2


@pytest.mark.parametrize("bounds", [(None, 9.0), (None, None), (np.nan, np.nan)])
def test_infinity_is_refused_whatever_the_bounds(tmp_path: Path, bounds: tuple[float | None, float | None]) -> None:
    columns = (Column("x", "float64", (), *bounds), LABEL)
    splits: Splits = {name: [{"x": np.array([i, i + 0.5]), "label": np.array([0, 1])}] for i, name in enumerate(good())}
    splits["test"][0]["x"][1] = np.inf
    code, result = checked(written(tmp_path / "data", splits, columns))
    words = "column 'x' of test-00000.npz has 1 infinities, the first in row 1; fill them, or leave out their rows"
    assert (code, words in result.message) == (65, True)
    json.dumps(result.details, allow_nan=False)
    outside = any("value inf in row 1, outside -inf to 9" in check["reason"] for check in result.details["checks"])
    assert outside is (bounds[1] == 9.0)


BEFORE = {
    "nan": (None, None),
    "inf": (-1.5, None),
    "-inf": (None, 2.5),
}  # bounds, as written


@pytest.mark.parametrize("odd", BEFORE)
def test_data_that_an_earlier_release_imported_with_such_numbers_can_be_opened_and_told_of(
    tmp_path: Path, odd: str
) -> None:
    rows = {"x": np.array([-1.5, float(odd), 2.5], np.float32), "label": np.array([0, 1, 0])}
    splits: Splits = {name: [{**rows, "x": rows["x"] + i}] for i, name in enumerate(("train", "eval", "test"))}
    columns = (Column("x", "float32", (), *BEFORE[odd]), LABEL)
    directory = written(tmp_path / "data", splits, columns)
    manifest = json.loads((directory / "manifest.json").read_text())
    stated = {name: manifest[name] for name in ("name", "label", "columns", "splits")}
    low, high = (float(odd), float(odd)) if odd == "nan" else (-np.inf, 2.5) if odd == "-inf" else (-1.5, np.inf)
    stated["columns"] = [stated["columns"][0] | {"minimum": low, "maximum": high}, stated["columns"][1]]
    text = json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=False)  # with NaN, Infinity
    manifest["digest"] = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    (directory / "manifest.json").write_text(json.dumps(manifest))
    code, result = checked(directory)
    what = "nulls (NaN)" if odd == "nan" else "infinities"
    assert code == 65
    assert result.message.startswith(f"column 'x' of train-00000.npz has 1 {what}, the first in row 1; fill them")
    manifest["columns"][0]["name"] = "y"
    (directory / "manifest.json").write_text(json.dumps(manifest))
    assert "is altered" in checked(directory)[1].message


def test_a_class_without_rows_in_test_is_told_before_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    splits = change(good(), "test", 0, "label", lambda a: a * 0)
    directory = written(tmp_path / "data", splits)
    code, result = checked(directory)
    words = "class 'yes' has no row in test: its recall cannot be judged; add rows of it, or lower min_class_rows"
    assert (code, result.verdict, words in caplog.text) == (0, "pass", True)
    code, result = checked(directory, '--rules={"min_class_rows": {"severity": "error"}}')
    assert (code, result.message) == (65, words)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda b: b[:-10], "train-00001.npz is truncated or altered: "),
        (lambda b: b[:300] + bytes([b[300] ^ 1]) + b[301:], "train-00001.npz is corrupt: its sha256 is "),
        (None, "train-00001.npz is missing"),
    ],
    ids=["truncated", "corrupt", "missing"],
)
def test_damaged_shards_are_named(damage: Callable[[bytes], bytes] | None, words: str, tmp_path: Path) -> None:
    directory = written(tmp_path / "data", good())
    path = directory / "train-00001.npz"
    if damage:
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    code, result = checked(directory)
    assert code == 65
    assert result.message.startswith(words)
    assert "import the data again" in result.message


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, image=np.array([{}], object), label=np.array([0]))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not a zip", "zip"),
        (b"", "zip"),
        (pickled(), "Python objects"),
        (shard_bytes({"image": np.asfortranarray(np.zeros((1, 2, 2)))})[:-40], ""),
    ],
    ids=["text", "empty", "pickle", "cut"],
)
def test_shards_that_the_manifest_vouches_for_may_still_be_no_npz(content: bytes, words: str, tmp_path: Path) -> None:
    directory = written(tmp_path / "data", good())
    (directory / "odd.npz").write_bytes(content)
    odd = Shard("odd.npz", 1, len(content), hashlib.sha256(content).hexdigest())
    publish(directory, {"train": (odd,), "eval": (odd,), "test": (odd,)}, (IMAGE, LABEL), "label")
    code, result = checked(directory)
    assert code == 65
    assert "odd.npz cannot be read as npz" in result.message
    assert words in result.message


def test_a_shard_cannot_lie_outside_the_data_set(tmp_path: Path) -> None:
    directory = written(tmp_path / "data", good())
    (tmp_path / "secret").write_bytes(b"x")
    odd = Shard("../secret", 1, 1, hashlib.sha256(b"x").hexdigest())
    publish(directory, {"train": (odd,), "eval": (), "test": ()}, (IMAGE, LABEL), "label")
    code, result = checked(directory)
    assert (code, "'../secret' is not a file beside the manifest" in result.message) == (65, True)


def test_windows_of_a_series_that_are_divided_at_random_are_warned_of(tmp_path: Path) -> None:
    """Twelve steps of a noisy wave, and whether it rises: nearly each window has its neighbour in training."""
    random = np.random.default_rng(0)
    series = np.sin(np.arange(300) / 9) + random.normal(0, 0.1, 300)
    rows = np.stack([series[i : i + 12] for i in range(288)]).astype("float32")
    np.savez(tmp_path / "wave.npz", x=rows, label=(series[12:] > series[11:-1]).astype("int64"))
    assert import_data.main(["wave", f"--from={tmp_path / 'wave.npz'}", f"--to=file://{tmp_path}"]) == 0
    code, result = checked(next(tmp_path.glob("data/wave/*")))
    assert code == 0
    details = msgspec.convert(result.details, DataReport)
    found = {check.rule: check for check in details.checks if not check.passed}
    for split in ("eval", "test"):
        check = found[f"train and {split}: at most 5.0% moved windows"]
        assert check.severity == "warn"
        assert "are windows of 'train' moved by one step" in check.reason
