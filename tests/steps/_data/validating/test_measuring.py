"""Profiles that are gathered batch by batch are those of all values."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colchis_steps._data.validating.holding import described
from colchis_steps._data.validating.inferring import common_pattern
from colchis_steps._data.validating.looking import look
from colchis_steps._data.validating.measuring import measured
from colchis_steps._data.validating.numbers import BINS, bins
from colchis_steps._formats.data import Column
from colchis_steps._formats.profiles import QUANTILES, ColumnProfile


def profile(*batches: pa.Array, media: str = "") -> ColumnProfile:
    name, shape = described(batches[0].type)
    column = Column("x", name, shape, nullable=True, media=media)
    found = measured(column, 0)
    for batch in batches:
        found.add(look(column, batch))
    return found.profile()


@settings(deadline=None)
@given(st.lists(st.floats(width=32)), st.lists(st.one_of(st.none(), st.floats(-9, 9, width=32))))
def test_numbers_merge_whatever_they_are(first: list[float], second: list[float | None]) -> None:
    found = profile(pa.array(first, pa.float32()), pa.array(second, pa.float32()))
    values = [value for value in (*first, *second) if value is not None and not math.isnan(value)]
    assert (found.rows, found.values) == (len(first) + len(second), len(values))
    assert found.nulls == found.rows - found.values
    finite = [value for value in values if math.isfinite(value)]
    if values and len(finite) == len(values):
        assert (found.minimum, found.maximum) == (min(values), max(values))
        assert found.mean == pytest.approx(np.mean(values, dtype=float), rel=1e-9, abs=1e-9 * max(map(abs, values)))
        assert sum(found.histogram) == len(values)
        assert len(found.edges) == len(found.histogram) + 1


def test_moments_and_quantiles_are_those_of_all_rows() -> None:
    values = np.random.default_rng(0).normal(1e6, 2, 200_000)
    found = profile(*(pa.array(part) for part in np.split(values, 8)))
    assert found.mean == pytest.approx(values.mean())
    assert found.deviation == pytest.approx(values.std())
    ranks = [float((values <= value).mean()) for value in found.quantiles]
    assert ranks == pytest.approx(QUANTILES, abs=0.01)
    assert found.distinct == pytest.approx(200_000, rel=0.05)


def test_one_far_value_does_not_spoil_the_histogram() -> None:
    found = profile(pa.array([*np.random.default_rng(0).normal(size=10_000), 1e12]))
    assert sum(count > 100 for count in found.histogram) > BINS / 2
    assert found.edges[-1] == 1e12


@pytest.mark.parametrize(
    ("quantiles", "whole", "edges"),
    [
        ((3.0,) * 9, False, (3.0, 3.0)),
        ((0.0, 0, 0, 1, 1, 1, 2, 2, 2.0), True, (0.0, 1.0, 2.0, 3.0)),
        ((-1e308, *(0.0,) * 7, 1e308), False, (-1e308, 1e308)),
    ],
)
def test_bins(quantiles: tuple[float, ...], whole: bool, edges: tuple[float, ...]) -> None:
    found = bins(quantiles, whole)
    assert (found[0], found[-1]) == (edges[0], edges[-1])
    assert len(edges) == 2 or found == edges


def test_texts_have_lengths_and_frequent_values() -> None:
    found = profile(pa.array(["ä", "bb", None, "bb"]), pa.array(["bb", "cccc"]).dictionary_encode().cast(pa.string()))
    assert found.top == (("bb", 3), ("cccc", 1), ("ä", 1))
    assert (found.nulls, found.values, found.distinct) == (1, 5, 3)
    assert found.lengths is not None
    assert found.lengths.mean == pytest.approx((1 + 2 * 3 + 4) / 5)
    assert sum(found.lengths.histogram) == 5


def test_of_many_different_texts_the_frequent_ones_are_found() -> None:
    words = [f"w{number}" for number in range(5000)]
    found = profile(*(pa.array([*words, *["often"] * 100]) for _ in range(3)))
    assert found.top[0] == ("often", 300)
    assert found.distinct == pytest.approx(5001, rel=0.05)


def test_few_numbers_are_counted_each_and_many_are_not() -> None:
    assert profile(pa.array([1, 2, 2, None])).top == (("2", 2), ("1", 1))
    assert profile(pa.array(range(5000))).top == ()


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1.0, 2.0], [3.0, None]], pa.list_(pa.float64(), 2)),
        pa.array([[1.0, 2.0, 3.0], []], pa.list_(pa.float64())),
        pa.array([1, 2, 3], pa.timestamp("us")),
        pa.array([1, 2, 3], pa.date32()),
        pa.array([1.0, 2.0, 3.0], pa.float16()),
        pa.array(["1", "2", "3"]).cast(pa.decimal128(5, 2)),
        pa.array([1, 2, 3], pa.int8()),
    ],
    ids=lambda values: str(values.type),
)
def test_numbers_of_every_kind_are_measured(values: pa.Array) -> None:
    found = profile(values)
    assert (found.values, found.minimum, found.maximum, found.mean) == (3, 1, 3, 2)


def test_truth_values_and_negative_bytes() -> None:
    assert profile(pa.array([True, False, True])).histogram == (1, 2)
    found = profile(pa.array([-3, 5, 5], pa.int8()))
    assert (found.minimum, found.maximum, found.quantiles[4]) == (-3, 5, 5)


def test_nothing_has_a_profile_too() -> None:
    assert profile(pa.nulls(3)).values == 0
    assert profile(pa.array([], pa.float32())).histogram == ()


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        ({"AB-1", "CDE-22"}, r"[A-Z]{2,3}\-[0-9]{1,2}"),
        ({"P-1", "P-2"}, r"P\-[0-9]"),
        ({"a1", "B1"}, ""),
        ({"a", "a b"}, ""),
        ({""}, ""),
        (set(), ""),
    ],
)
def test_a_pattern_is_what_all_words_have_in_common(words: set[str], pattern: str) -> None:
    assert common_pattern(words) == pattern
