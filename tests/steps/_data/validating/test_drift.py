"""The mathematics of drift, held against scipy; and the rule, against its alarms where nothing drifted."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from colchis_steps._data.validating import comparing, drift
from colchis_steps._formats.profiles import ColumnProfile, SplitProfile

COUNTS = st.lists(st.integers(1, 10_000), min_size=2, max_size=40)


@given(st.floats(0.01, 500), st.integers(1, 60))
def test_chi_square_is_scipys(x: float, degrees: int) -> None:
    assert drift.chi_square_above(x, degrees) == pytest.approx(stats.chi2.sf(x, degrees), rel=1e-6, abs=1e-14)


@given(COUNTS, st.data())
def test_counts_are_compared_as_scipy_does(first: list[int], data: st.DataObject) -> None:
    second = data.draw(st.lists(st.integers(1, 10_000), min_size=len(first), max_size=len(first)))
    p = stats.chi2_contingency([first, second], correction=False).pvalue
    assert drift.chi_square(first, second) == pytest.approx(p, rel=1e-5, abs=1e-13)
    js = distance.jensenshannon(first, second, base=2) ** 2
    assert drift.jensen_shannon(first, second) == pytest.approx(js, abs=1e-9)


@given(st.floats(0.3, 4))
def test_kolmogorovs_distribution_is_scipys(x: float) -> None:
    assert drift.kolmogorov(x) == pytest.approx(stats.kstwobign.sf(x), abs=1e-9)


def test_the_test_on_bins_is_nearly_that_on_values() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=2000), random.normal(0.1, 1, 1500)
    edges = np.linspace(-6, 6, 2000)
    binned = drift.kolmogorov_smirnov(*(np.histogram(values, edges)[0].tolist() for values in (first, second)))
    assert binned == pytest.approx(stats.ks_2samp(first, second, method="asymp").pvalue, rel=0.1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_scipys_way_of_no_more_errors(values: list[float]) -> None:
    found = drift.holm(values)
    order = np.argsort(values, kind="stable")
    expected = np.minimum(1, np.maximum.accumulate(np.array(values)[order] * np.arange(len(values), 0, -1)))
    assert np.array(found)[order] == pytest.approx(expected)


@pytest.mark.parametrize("counts", [[0, 0], [0, 5], [5, 0]])
def test_nothing_is_no_drift(counts: list[int]) -> None:
    assert drift.chi_square([0, 0], counts) == 1
    assert drift.kolmogorov_smirnov([0, 0], counts) == 1
    assert drift.psi([0, 0], counts) == drift.jensen_shannon([0, 0], counts) == 0
    assert drift.chi_square_above(0, 3) == 1


def profile(values: np.ndarray, edges: np.ndarray, nulls: int = 0, name: str = "x") -> ColumnProfile:
    counts = np.bincount(np.searchsorted(edges[1:-1], values, side="right"), minlength=len(edges) - 1)
    return ColumnProfile(
        name, "double", rows=len(values) + nulls, nulls=nulls, values=len(values), mean=float(values.mean()),
        deviation=float(values.std()), edges=tuple(edges.tolist()), histogram=tuple(counts.tolist()),
    )  # fmt: skip


def split(*columns: ColumnProfile) -> dict[str, SplitProfile]:
    return {"train": SplitProfile(columns[0].rows, 0, 0, columns)}


EDGES = np.linspace(-3, 3, 21)


def test_windows_of_the_same_rows_raise_no_alarm() -> None:
    random = np.random.default_rng(1)
    names = [f"x{i}" for i in range(20)]
    before = split(*(profile(random.normal(size=10_000), EDGES, name=name) for name in names))
    windows = [split(*(profile(random.normal(size=1000), EDGES, name=name) for name in names)) for _ in range(60)]
    assert [comparing.compare(before, window)[1] for window in windows].count("drifted") == 0


def test_a_shift_is_found_and_told_with_its_reason() -> None:
    random = np.random.default_rng(2)
    before = split(profile(random.normal(size=10_000), EDGES))
    found, verdict = comparing.compare(before, split(profile(random.normal(0.5, 2, size=3000), EDGES)))
    assert verdict == "drifted"
    assert found[0].mean == pytest.approx(0.5, abs=0.1)
    assert found[0].deviation == pytest.approx(2, rel=0.1)
    assert found[0].reason.startswith("column 'x' of train drifted: PSI ")


def test_a_large_sample_alone_is_no_drift() -> None:
    random = np.random.default_rng(3)
    before = split(profile(random.normal(size=400_000), EDGES))
    found, verdict = comparing.compare(before, split(profile(random.normal(0.05, 1, 400_000), EDGES)))
    assert found[0].p < 1e-6
    assert verdict == "alike"


def test_missing_values_are_drift_too() -> None:
    values = np.random.default_rng(4).normal(size=2000)
    found, verdict = comparing.compare(split(profile(values, EDGES)), split(profile(values[:1500], EDGES, 500)))
    assert (verdict, found[0].missing) == ("drifted", 0.25)
    assert "missing 0.0% → 25.0%" in found[0].reason


def test_of_few_rows_there_is_no_verdict() -> None:
    few = split(profile(np.zeros(drift.LEAST - 1), EDGES))
    assert comparing.compare(few, few) == ((), "unknown")
    assert comparing.compare({}, few) == ((), "unknown")


def test_a_profile_of_an_earlier_release_is_no_reference() -> None:
    before = split(ColumnProfile("x", minimum=0.0, maximum=1.0, histogram=(500, 500)))
    before["train"].rows = 1000
    assert comparing.compare(before, split(profile(np.zeros(1000), EDGES))) == ((), "unknown")


def texts(**counts: int) -> dict[str, SplitProfile]:
    total = sum(counts.values())
    column = ColumnProfile("s", "string", rows=total, values=total, distinct=len(counts), top=tuple(counts.items()))
    return split(column)


def test_values_and_classes_are_compared_by_name() -> None:
    found, verdict = comparing.compare(texts(a=900, b=100), texts(b=600, a=400))
    assert (verdict, found[0].test) == ("drifted", "chi-square")
    assert "'a' 90.0% → 40.0%" in found[0].reason
    assert comparing.compare(texts(a=900, b=100), texts(b=210, a=1790))[1] == "alike"
    assert comparing.compare(texts(a=900, b=100), texts(a=800, c=200))[1] == "drifted"
    assert math.isfinite(found[0].psi)
