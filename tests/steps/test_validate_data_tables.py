"""Bad rows in Arrow and Parquet parts, each told by its rule, column and first row."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from tests.steps.arrow_data import broken, data_set, shard_of, validated

from colchis_steps._data.validating import reading, spilling
from colchis_steps._formats.data import DataManifest, Division, Shard, Task, data_digest
from colchis_steps._formats.documents import decode, encode

PICTURE = {"media": "image/png"}


def table(first: int, rows: int = 40) -> pa.Table:
    numbers = np.arange(first, first + rows)
    return pa.table(
        {
            "x": numbers / 2,
            "word": pa.array([f"w{number % 3}" for number in numbers]),
            "label": [("no", "yes")[number % 2] for number in numbers],
        }
    )


def tables() -> dict[str, pa.Table]:
    return {"train": table(0), "eval": table(40), "test": table(80)}


def put(rows: pa.Table, name: str, values: Any) -> pa.Table:
    return rows.set_column(rows.schema.names.index(name), name, values)


def edited(directory: Path, change: Callable[[DataManifest], None]) -> Path:
    """Change the manifest of a data set, and make its digest anew."""
    manifest = decode(DataManifest, (directory / "manifest.json").read_bytes(), "here")
    change(manifest)
    manifest.digest = data_digest(manifest)
    (directory / "manifest.json").write_bytes(encode(manifest))
    return directory


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_good_tables_pass(kind: str, tmp_path: Path) -> None:
    code, result, report = validated(data_set(tmp_path / "data", tables(), kind=kind))
    assert (code, broken(report)) == (0, {}), result.message
    assert report
    assert [column.values for column in report.splits["train"].columns] == [40, 40, 40]


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_a_damaged_part_is_named(kind: str, damage: str, tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", tables(), kind=kind)
    part = data / f"eval.{kind}"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.unlink()
    if damage != "missing":
        part.write_bytes(content if damage == "flipped" else content[:-9])
    code, result, _ = validated(data)
    words = {"flipped": "is corrupt: its sha256", "truncated": "is truncated or altered", "missing": "is missing"}
    assert (code, result.message.startswith(f"eval.{kind} {words[damage]}")) == (65, True), result.message


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
@pytest.mark.parametrize("cut", [0, 4, 200])
def test_a_part_that_its_manifest_vouches_for_may_still_be_none(kind: str, cut: int, tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", tables(), kind=kind)
    content = (data / f"train.{kind}").read_bytes()[:cut]
    (data / f"train.{kind}").write_bytes(content)

    def change(manifest: DataManifest) -> None:
        odd = Shard(f"train.{kind}", 40, cut, hashlib.sha256(content).hexdigest(), kind)
        manifest.splits["train"] = msgspec.structs.replace(manifest.splits["train"], parts=(odd,))

    code, result, _ = validated(edited(data, change))
    assert code == 65
    assert f"train.{kind} " in result.message


def test_nulls_and_nan_where_the_schema_forbids_them(tmp_path: Path) -> None:
    splits = tables()
    splits["eval"] = put(splits["eval"], "x", pa.array([*[1.0] * 3, float("nan"), None, *range(35)], pa.float64()))
    splits["test"] = put(splits["test"], "word", pa.array([None, *["w"] * 39]))
    code, result, report = validated(data_set(tmp_path / "data", splits))
    assert code == 65
    assert result.message.startswith("column 'x' of eval.arrow has 2 nulls (NaN), the first in row 3; fill them")
    assert broken(report)["word: no nulls"].reason.startswith(
        "column 'word' of test.arrow has 1 nulls, the first in row 0"
    )


@pytest.mark.parametrize("role", ["label", "weight"])
def test_a_label_or_a_weight_never_lacks_a_value(role: str, tmp_path: Path) -> None:
    name = "label" if role == "label" else "x"
    splits = {split: put(rows, name, pa.array([None, *rows[name].to_pylist()[1:]])) for split, rows in tables().items()}
    code, result, _ = validated(data_set(tmp_path / "data", splits, roles={name: role}))
    assert (code, f"column {name!r} of train.arrow has 1 nulls, the first in row 0" in result.message) == (65, True)


def test_columns_without_a_value_or_with_one_are_warned_of(tmp_path: Path) -> None:
    splits = {
        split: put(put(rows, "x", pa.nulls(40, pa.float64())), "word", pa.array(["same"] * 40)).append_column(
            "n", pa.array(range(at * 40, at * 40 + 40))
        )
        for at, (split, rows) in enumerate(tables().items())
    }
    code, _, report = validated(data_set(tmp_path / "data", splits))
    found = broken(report)
    assert (code, set(found)) == (0, {"at most 0 constant columns", "at most 0 empty columns"})
    assert found["at most 0 empty columns"].actual == "'x'"
    assert found["at most 0 constant columns"].actual == "'word'"


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    splits = {name: put(rows, "label", pa.array(["no"] * 40)) for name, rows in tables().items()}
    code, result, _ = validated(data_set(tmp_path / "data", splits, Task("classification", ("label",), ("no",))))
    assert (code, result.message.startswith("label 'label' has the one class 'no'")) == (65, True)


def test_no_rows_at_all_are_refused(tmp_path: Path) -> None:
    splits = {name: rows.slice(0, 0) for name, rows in tables().items()}
    code, result, _ = validated(data_set(tmp_path / "data", splits))
    assert (code, result.message.startswith("data set 'tiny' is empty: no split has a row")) == (65, True)


def test_rows_that_another_label_contradicts_are_warned_of(tmp_path: Path) -> None:
    splits = tables()
    splits["train"] = pa.concat_tables(
        [splits["train"], put(splits["train"].slice(0, 4), "label", pa.array(["yes"] * 4))]
    )
    code, _, report = validated(data_set(tmp_path / "data", splits))
    check = broken(report)["train: at most 1.0% rows with another label too"]
    assert (code, check.severity, check.actual) == (0, "warn", "4 rows")
    assert "(row 0 is the first), which no model can learn" in check.reason
    assert report
    assert (report.splits["train"].contradictions, report.splits["train"].duplicates) == (4, 4)


@pytest.mark.parametrize("role", ["key", "group"])
def test_a_key_or_a_group_in_two_splits_is_a_leak(role: str, tmp_path: Path) -> None:
    splits = {
        name: rows.append_column("who", pa.array([f"p{at * 40 + row}" for row in range(39)] + ["shared"]))
        for at, (name, rows) in enumerate(tables().items())
    }
    code, result, report = validated(data_set(tmp_path / "data", splits, roles={"who": role}))
    assert code == 65
    assert f"1 rows of split 'eval' have a {role} that is also in 'train' (its row 39 is the first)" in result.message
    assert len(broken(report)) == 3


def picture(content: bytes = b"", side: int = 4) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (side, side), 7).save(buffer, "PNG")
    return content or buffer.getvalue()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"not a picture", "cannot identify image file"),
        (picture()[:-20], "cannot be decoded"),
        (b"", "cannot identify image file"),
    ],
    ids=["text", "cut", "empty"],
)
def test_a_picture_that_cannot_be_decoded_is_named(bad: bytes, words: str, tmp_path: Path) -> None:
    splits = {}
    for at, (name, rows) in enumerate(tables().items()):
        pictures = [picture(side=at * 40 + row + 1) for row in range(40)]
        splits[name] = put(rows, "word", pa.array(pictures, pa.binary())).rename_columns(["x", "image", "label"])
    data = data_set(tmp_path / "good/data", splits, image=PICTURE)
    assert validated(data)[0] == 0
    pictures = splits["test"]["image"].to_pylist()
    splits["test"] = put(splits["test"], "image", pa.array([*pictures[:5], bad, *pictures[6:]], pa.binary()))
    code, result, _ = validated(data_set(tmp_path / "bad/data", splits, image=PICTURE))
    assert code == 65
    assert "column 'image' of test.arrow has a picture in row 5 that cannot be decoded" in result.message
    assert words in result.message
    assert validated(tmp_path / "bad/data", '--rules={"max_bad_images": 1}')[0] == 0


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colchis_steps._data.validating.images.PIXELS", 8)
    splits = {
        name: put(rows, "word", pa.array([picture()] * 40, pa.binary())).rename_columns(["x", "image", "label"])
        for name, rows in tables().items()
    }
    code, result, _ = validated(data_set(tmp_path / "data", splits, image=PICTURE))
    assert (code, "4 by 4 pixels are too many" in result.message) == (65, True)


@pytest.mark.parametrize("kind", ["arrow", "parquet"])
def test_a_part_of_other_columns_or_types_is_named(kind: str, tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", tables(), kind=kind)
    other = put(table(40), "x", pa.array(range(40))).rename_columns(["x", "wrd", "label"])
    odd = shard_of(data, "eval", other, kind)

    def change(manifest: DataManifest) -> None:
        manifest.splits["eval"] = msgspec.structs.replace(manifest.splits["eval"], parts=(odd,))

    code, result, report = validated(edited(data, change))
    assert (code, result.message.startswith(f"eval.{kind} ")) == (65, True)
    assert broken(report)["x: dtype is float64"].reason.startswith(
        f"column 'x' of eval.{kind} has the type int64 where the schema says double"
    )


def test_a_column_that_is_there_twice_is_named(tmp_path: Path) -> None:
    data = data_set(tmp_path / "data", tables())
    odd = shard_of(data, "eval", table(40).append_column("x", pa.array(range(40))))

    def change(manifest: DataManifest) -> None:
        manifest.splits["eval"] = msgspec.structs.replace(manifest.splits["eval"], parts=(odd,))

    code, result, _ = validated(edited(data, change))
    assert (code, "eval.arrow has twice the column 'x'" in result.message) == (65, True)


def test_rows_that_the_manifest_does_not_tell_of_are_named(tmp_path: Path) -> None:
    def change(manifest: DataManifest) -> None:
        (part,) = manifest.splits["eval"].parts
        odd = msgspec.structs.replace(part, rows=39)
        manifest.splits["eval"] = msgspec.structs.replace(manifest.splits["eval"], parts=(odd,))

    code, result, _ = validated(edited(data_set(tmp_path / "data", tables()), change))
    assert (code, "eval.arrow has 40 rows where the manifest says 39" in result.message) == (65, True)


def test_bytes_without_a_media_type_are_warned_of(tmp_path: Path) -> None:
    """As pyarrow makes of text in latin-1 among UTF-8."""
    splits = {
        name: put(rows, "word", pa.array([f"caf\xe9{row}".encode("latin-1") for row in range(40)]))
        for name, rows in tables().items()
    }
    code, _, report = validated(data_set(tmp_path / "data", splits))
    check = broken(report)["bytes are of a media type"]
    assert (code, check.severity, "column 'word' is bytes of no media type" in check.reason) == (0, "warn", True)


def test_a_header_alone_which_is_of_type_null_is_refused(tmp_path: Path) -> None:
    splits = {name: put(rows, "word", pa.nulls(40)) for name, rows in tables().items()}
    code, result, _ = validated(data_set(tmp_path / "data", splits))
    assert (code, "the dtype 'null' of 'word'" in result.message) == (65, True)


@pytest.mark.parametrize(
    ("task", "labels", "wanted"),
    [
        (Task("multilabel", ("label",), ("a", "b")), [["a"], ["a", "b"]] * 20, {"a": 40, "b": 20}),
        (Task("regression", ("label",)), [1.5, 2.5] * 20, None),
        (Task("none"), [1, 2] * 20, None),
    ],
    ids=["multilabel", "regression", "none"],
)
def test_other_tasks_have_their_classes_or_none(task: Task, labels: list[Any], wanted: Any, tmp_path: Path) -> None:
    splits = {name: put(rows, "label", pa.array(labels)) for name, rows in tables().items()}
    code, result, report = validated(data_set(tmp_path / "data", splits, task))
    assert code == 0, result.message
    assert report
    assert report.splits["train"].columns[-1].classes == wanted


@pytest.mark.parametrize("form", ["columns", "vector"])
def test_multilabels_of_zeros_and_ones_are_counted(form: str, tmp_path: Path) -> None:
    splits = {}
    for name, rows in tables().items():
        ones = np.array([[1, 0], [1, 1]] * 20, np.int8)
        if form == "vector":
            values = pa.FixedSizeListArray.from_arrays(pa.array(ones.ravel()), 2)
            splits[name] = put(rows, "label", values)
        else:
            splits[name] = (
                rows.drop_columns(["label"])
                .append_column("a", pa.array(ones[:, 0]))
                .append_column("b", pa.array(ones[:, 1]))
            )
    target = ("a", "b") if form == "columns" else ("label",)
    roles = dict.fromkeys(target, "label")
    code, result, report = validated(
        data_set(tmp_path / "data", splits, Task("multilabel", target, ("a", "b")), roles=roles)
    )
    assert code == 0, result.message
    assert report


def test_there_is_no_room_for_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spilling, "PENDING", 1)
    monkeypatch.setattr(spilling, "_file", full)
    code, result, _ = validated(data_set(tmp_path / "data", tables()))
    assert code == 65
    assert "no room for the hashes of rows" in result.message


def reference(tmp_path: Path, shift: float, *flags: str) -> Any:
    random = np.random.default_rng(0)

    def rows(move: float) -> dict[str, pa.Table]:
        found = {}
        for name in ("train", "eval", "test"):
            labels = pa.array(np.array(["no", "yes"])[random.integers(0, 2, 1500)])
            found[name] = pa.table({"x": random.normal(move, 1, 1500), "label": labels})
        return found

    before, after = data_set(tmp_path / "a/data", rows(0)), data_set(tmp_path / "b/data", rows(shift))
    assert validated(before)[0] == 0
    return validated(after, f"--reference=file://{tmp_path}/a/store/runs/r/validate_data.json", *flags)


def test_drift_against_an_earlier_profile_warns_with_its_reason(tmp_path: Path) -> None:
    code, _, report = reference(tmp_path, 0.6)
    check = broken(report)["at most 0 drifted columns"]
    assert (code, check.severity, report.verdict) == (0, "warn", "drifted")
    assert check.reason.startswith("column 'x' of train drifted: PSI 0.")
    assert report.reference.startswith("tiny sha256:")
    assert {one.column: one.drifted for one in report.drift if one.split == "test"} == {"x": True, "label": False}


def test_drift_can_be_made_to_stop_the_run(tmp_path: Path) -> None:
    code, result, _ = reference(tmp_path, 0.6, '--rules={"max_drifted_columns": {"severity": "error"}}')
    assert (code, result.message.startswith("column 'x' of train drifted")) == (65, True)


def test_rows_of_the_same_kind_do_not_drift(tmp_path: Path) -> None:
    code, _, report = reference(tmp_path, 0)
    assert (code, report.verdict, broken(report)) == (0, "alike", {})


@pytest.mark.parametrize("content", [None, b"{}", b'{"kind": "colchis.dev/step/v1"}', json.dumps([1]).encode()])
def test_a_reference_that_is_none_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "odd.json").write_bytes(content)
    code, result, _ = validated(data_set(tmp_path / "data", tables()), f"--reference=file://{tmp_path}/odd.json")
    assert code == 65
    assert "odd.json" in result.message


def test_where_nothing_is_served_there_is_no_reference(tmp_path: Path) -> None:
    code, _, report = validated(data_set(tmp_path / "data", tables()), "--reference=served")
    assert (code, report and report.reference) == (0, "")


def test_a_part_that_was_left_in_place_is_read_there_while_it_is_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_set(tmp_path / "data", tables(), kind="parquet")
    elsewhere = tmp_path / "elsewhere/rows.parquet"
    elsewhere.parent.mkdir()
    (data / "eval.parquet").rename(elsewhere)

    def change(manifest: DataManifest) -> None:
        split = manifest.splits["eval"]
        split.parts = (msgspec.structs.replace(split.parts[0], uri=elsewhere.as_uri()),)

    edited(data, change)
    assert validated(data)[0] == 0
    names = reading._names

    def touched(*given: Any) -> None:
        elsewhere.write_bytes(elsewhere.read_bytes()[::-1])
        names(*given)

    monkeypatch.setattr(reading, "_names", touched)
    monkeypatch.setattr(reading, "AHEAD", 64)
    code, result, _ = validated(data)
    assert (code, "eval.parquet" in result.message) == (65, True)


@pytest.mark.parametrize(
    ("division", "code"),
    [
        (Division("given"), 65),
        (Division("hash"), 65),
        (Division("hash", ("key",)), 0),
        (Division("group", ("who",)), 0),
        (Division("time", ("when",)), 0),
    ],
    ids=lambda value: value.way if isinstance(value, Division) else "",
)
def test_equal_features_in_two_splits_are_a_chance_where_rows_are_divided_by_who_or_when(
    division: Division, code: int, tmp_path: Path
) -> None:
    splits = tables()
    splits["eval"] = pa.concat_tables([splits["eval"], splits["train"].slice(0, 1)])

    def change(manifest: DataManifest) -> None:
        manifest.division = division

    found, _, report = validated(edited(data_set(tmp_path / "data", splits), change))
    assert (found, list(broken(report))) == (code, ["train and eval: at most 0 rows in both"])
