"""Divisions: nothing leaks, nothing moves, and what is doubtful is said."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.steps.imports import Importer, parts_of, read

from colchis_steps._data.dataset import DataSet
from colchis_steps._data.hashing import row_hashes
from colchis_steps._data.importing import cuts, division, spill

NAMES = division.NAMES


def put(importer: Importer, name: str = "t.parquet", **columns: Any) -> str:
    path = importer.directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return str(path)


def by_split(data: DataSet, name: str) -> dict[str, list[Any]]:
    return {
        split: [value for part in found.parts for value in data.read(part)[name].tolist()]
        for split, found in data.manifest.splits.items()
    }


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=200),
    st.lists(st.integers(0, 2**64 - 1), max_size=200),
    st.tuples(st.floats(0.1, 1), st.floats(0, 1), st.floats(0, 1)),
)
def test_a_row_never_moves_when_the_data_grow(old: list[int], new: list[int], parts: tuple[float, ...]) -> None:
    assign = division.by_hash(dict(zip(NAMES, parts, strict=True)))
    nothing = pa.record_batch({"x": pa.array([], pa.int64())})
    before = assign(nothing, np.array(old, np.uint64), "", "")
    after = assign(nothing, np.array(old + new, np.uint64), "", "")
    assert after[: len(old)].tolist() == before.tolist()


def test_shares_are_those_that_were_asked_for() -> None:
    hashes = row_hashes(pa.record_batch({"x": pa.array(range(100_000))}), ["x"])
    found = division.by_hash({"train": 0.7, "eval": 0.15, "test": 0.15})(None, hashes, "", "")
    assert np.bincount(found) / 100_000 == pytest.approx([0.7, 0.15, 0.15], abs=0.005)


def test_parts_do_not_depend_on_the_order_of_the_source(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "CHUNK", 1 << 12)
    random = np.random.default_rng(3)
    x = pa.array([None if i % 7 == 0 else i / 3 for i in range(900)])
    table = pa.table({"x": x, "s": [f"s{i % 50}" for i in range(900)], "label": ["ab"[i % 2] for i in range(900)]})
    pq.write_table(table, importer.directory / "one.parquet")
    pq.write_table(table.take(random.permutation(900)), importer.directory / "two.parquet", row_group_size=77)
    first = importer.does(importer.directory / "one.parquet").manifest
    second = importer.does(importer.directory / "two.parquet").manifest
    assert first.digest == second.digest
    assert [s.digest for s in first.splits.values()] == [s.digest for s in second.splits.values()]


def test_parts_are_cut_and_buckets_too_large_are_sorted_in_pieces(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = put(importer, x=[1] * 3000 + list(range(2000)), label=["a"] * 5000)
    whole = importer.does(same, "--shard-rows=500")
    assert [part.rows for part in whole.shards("train")][:-1] == [500] * (len(whole.shards("train")) - 1)
    monkeypatch.setattr(spill, "ROOM", 1 << 10)
    assert importer.does(same, "--shard-rows=500").manifest.digest == whole.manifest.digest
    assert sorted(read(whole)["x"].tolist()) == sorted([1] * 3000 + list(range(2000)))


def test_equal_features_are_in_one_split_and_their_contradictions_are_counted(importer: Importer) -> None:
    data = importer.does(put(importer, x=[i // 3 for i in range(900)], label=[i % 2 for i in range(900)]))
    found = by_split(data, "x")
    assert sum(len(set(values)) for values in found.values()) == 300
    assert "of 600 rows that repeat the features of another have another label" in " ".join(data.manifest.warnings)


def test_a_key_divides_where_it_is_named(importer: Importer) -> None:
    keys = [f"k{i}" for i in range(400)]
    one = importer.does(put(importer, k=keys, x=range(400), label=["a", "b"] * 200), "--key=k")
    two = importer.does(put(importer, k=keys, x=range(1, 401), label=["b", "a"] * 200), "--key=k")
    assert {s: set(v) for s, v in by_split(one, "k").items()} == {s: set(v) for s, v in by_split(two, "k").items()}
    assert one.manifest.division.by == ("k",)
    gone = put(importer, k=[None, *keys[1:]], x=range(400), label=["a", "b"] * 200)
    assert "column 'k' has 1 nulls, the first in row 0 of" in importer.refuses(gone, "--key=k")


def test_a_group_is_in_one_split(importer: Importer) -> None:
    given = put(importer, patient=[i // 10 for i in range(1000)], x=range(1000), label=["a", "b"] * 500)
    data = importer.does(given, "--group=patient")
    found = by_split(data, "patient")
    assert sum(len(set(values)) for values in found.values()) == 100
    assert (data.manifest.division.way, data.manifest.division.by) == ("group", ("patient",))
    assert data.manifest.by_name["patient"].role == "group"


def test_time_divides_in_order_with_a_gap(importer: Importer) -> None:
    days = pa.array(np.arange(1000) * 86_400_000, pa.timestamp("ms"))
    order = np.random.default_rng(0).permutation(1000)
    given = put(importer, day=days.take(pa.array(order)), x=range(1000), label=["a", "b"] * 500)
    data = importer.does(given, "--time=day", f"--gap={3 * 86_400}")
    found = {split: np.array(values) / 86_400_000 for split, values in by_split(data, "day").items()}
    assert (found["train"].min(), found["train"].max()) == (0, 696)
    assert (found["eval"].min(), found["eval"].max()) == (700, 846)
    assert (found["test"].min(), found["test"].max()) == (850, 999)
    told = data.manifest.division
    assert (told.way, told.by, told.gap, told.cuts) == ("time", ("day",), 259200.0, (60480000000.0, 73440000000.0))


@settings(deadline=None)
@given(st.lists(st.integers(-(2**62), 2**62), min_size=3, max_size=300, unique=True), st.booleans(), st.randoms())
def test_cuts_do_not_depend_on_the_order_of_times(values: list[int], real: bool, random: Any) -> None:
    times = np.array(values, np.float64 if real else np.int64)
    shuffled = times.copy()
    random.shuffle(shuffled)
    one = cuts.times_of([times]).cuts([0.5, 0.25, 0.25], "t")
    two = cuts.times_of([shuffled[:2], shuffled[2:]]).cuts([0.5, 0.25, 0.25], "t")
    assert one == two
    if not real or len(np.unique(times)) == len(times):
        counts = np.bincount(np.searchsorted(np.array(one, times.dtype), times, side="right"), minlength=3)
        assert (counts > 0).all()
        assert abs(int(counts[0]) - len(values) / 2) <= 1


def test_very_many_times_are_told_apart_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "DISTINCT", 64)
    times = np.arange(-5000, 5000)
    first, second = cuts.times_of([times]).cuts([0.7, 0.15, 0.15], "t")
    assert cuts.times_of([times[::-1]]).cuts([0.7, 0.15, 0.15], "t") == [first, second]
    assert [first, second] == pytest.approx([2000, 3500], abs=300)


def test_what_cannot_divide_by_time_is_refused(importer: Importer) -> None:
    words = put(importer, day=["monday"] * 30, x=range(30), label=["a", "b"] * 15)
    assert "column 'day' is string, not a time" in importer.refuses(words, "--time=day")
    same = put(importer, day=[1, 2] * 15, x=range(30), label=["a", "b"] * 15)
    assert "column 'day' has 2 times, too few" in importer.refuses(same, "--time=day")
    gone = put(importer, day=[None, *range(29)], x=range(30), label=["a", "b"] * 15)
    assert "column 'day' has 1 nulls" in importer.refuses(gone, "--time=day")
    more = put(importer, day=range(30), who=range(30), x=range(30), label=["a", "b"] * 15)
    both = importer.refuses(more, "--time=day", "--group=who")
    assert "Say it with --split-by group or --split-by time" in both
    assert "--split-by group divides by columns that --group names" in importer.refuses(gone, "--split-by=group")


def test_splits_are_given_by_a_column(importer: Importer) -> None:
    named = [("train", "Validation", "test")[i % 3] for i in range(300)]
    data = importer.does(
        put(importer, x=range(300), part=named, label=["a"] * 150 + ["b"] * 150), "--split-column=part"
    )
    assert {split: len(values) for split, values in by_split(data, "x").items()} == dict.fromkeys(NAMES, 100)
    assert all(value % 3 == 1 for value in by_split(data, "x")["eval"])
    assert data.manifest.by_name["part"].role == "ignored"
    odd = put(importer, x=range(3), part=["train", "test", "tset"], label=["a", "b", "a"])
    assert "column 'part' has 'tset'; write train, eval or test" in importer.refuses(odd, "--split-column=part")


def test_splits_are_given_by_files_and_eval_is_taken_out_of_train(importer: Importer) -> None:
    put(importer, "d/train.parquet", x=range(1000), label=["a", "b"] * 500)
    put(importer, "d/test.parquet", x=range(1000, 1200), label=["a", "b"] * 100)
    data = importer.does(importer.directory / "d")
    found = by_split(data, "x")
    assert sorted(found["test"]) == list(range(1000, 1200))
    assert sorted(found["train"] + found["eval"]) == list(range(1000))
    assert len(found["eval"]) == pytest.approx(1000 * 0.15 / 0.85, rel=0.2)
    assert "there is no eval: it is taken out of train" in importer.caplog.text
    named = importer.does(f"train={importer.directory}/d/train.parquet", f"test={importer.directory}/d/test.parquet")
    assert named.manifest.digest == data.manifest.digest


def test_a_source_without_a_split_among_others_is_asked_for(importer: Importer) -> None:
    one, two = put(importer, "a.parquet", x=[1], label=["a"]), put(importer, "b.parquet", x=[2], label=["a"])
    sentence = importer.refuses(f"train={one}", two, "--split-by=given")
    assert "b.parquet tells no split: give it as --from train=PLACE" in sentence


def test_a_group_in_two_given_splits_is_refused(importer: Importer) -> None:
    put(importer, "d/train.parquet", x=range(30), who=[f"p{i}" for i in range(30)], label=["a", "b"] * 15)
    put(importer, "d/eval.parquet", x=range(3), who=["q1", "q2", "q3"], label=["a", "b", "a"])
    put(importer, "d/test.parquet", x=range(3), who=["r1", "p7", "r3"], label=["a", "b", "a"])
    sentence = importer.refuses(importer.directory / "d", "--group=who", "--split-by=given")
    assert "the group who 'p7' is in the splits" in sentence
    assert "train" in sentence


def test_a_class_without_a_row_in_a_split_is_said(importer: Importer) -> None:
    put(importer, "d/train.parquet", x=range(30), label=["a", "b", "c"] * 10)
    put(importer, "d/eval.parquet", x=range(3), label=["a", "b", "c"])
    put(importer, "d/test.parquet", x=range(2), label=["a", "b"])
    data = importer.does(importer.directory / "d")
    (warning,) = data.manifest.warnings
    assert warning.startswith(
        "test has no row of 'c' (11 rows in all); import more rows of it, give other --shares, or"
    )


def test_one_class_and_columns_without_values_are_said(importer: Importer) -> None:
    data = importer.does(put(importer, x=range(60), n=pa.nulls(60), label=["a"] * 60))
    assert "all rows have the label 'a'; a model has nothing to tell apart" in data.manifest.warnings
    assert "no row has a value in 'n'; such columns are ignored" in data.manifest.warnings
    assert data.manifest.by_name["n"].role == "ignored"
    assert list(data.features) == ["x"]


def test_a_random_division_of_times_and_of_windows_is_said(importer: Importer) -> None:
    series = np.random.default_rng(0).normal(size=512)
    windows = np.lib.stride_tricks.sliding_window_view(series, 12)[:500]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(windows.ravel()), 12)
    given = put(importer, w=vectors, day=pa.array(range(500), pa.date32()), label=["a", "b"] * 250)
    warnings = " ".join(importer.does(given).manifest.warnings)
    assert "are windows of train moved by one step" in warnings
    assert "divided at random and have the time 'day'" in warnings
    assert not importer.does(given, "--time=day").manifest.warnings


def test_too_few_rows_are_refused_or_said(importer: Importer) -> None:
    few = importer.does(put(importer, x=[4, 5, 6, 7], label=["a", "a", "a", "b"]), "--shares=1,0,0")
    assert not any("has no rows" in warning for warning in few.manifest.warnings)
    gap = put(importer, t=range(9), x=range(9), label=["a", "b", "a"] * 3)
    assert "train has none of the" in importer.refuses(gap, "--time=t", "--gap=100")


def test_each_part_is_one_stream_whose_digest_is_kept(importer: Importer) -> None:
    data = importer.does(put(importer, x=range(500), label=["a", "b"] * 250), "--shard-rows=100")
    assert len(list(parts_of(data))) >= 5
    assert {part.format for split in data.manifest.splits.values() for part in split.parts} == {"arrow"}
    assert all(split.digest.startswith("sha256:") for split in data.manifest.splits.values())
