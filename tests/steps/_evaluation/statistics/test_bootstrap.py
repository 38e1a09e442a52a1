"""The paired bootstrap: the same numbers for the same models, an honest spread, groups and strata kept together."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from colchis_steps._evaluation.statistics.bootstrap import DRAWS, UNITS, bounds, draw, mean, seed, sums
from colchis_steps._evaluation.statistics.ranking import auc

BEGIN = seed("sha256:a", "sha256:b")
random = np.random.Generator(np.random.PCG64(5))


def test_the_same_models_give_the_same_numbers() -> None:
    values = np.linspace(0, 1, 20) ** 2
    assert np.array_equal(mean(values, BEGIN), mean(values, seed("sha256:a", "sha256:b")))
    assert not np.array_equal(mean(values, BEGIN), mean(values, seed("sha256:b", "sha256:a")))
    assert mean(values, 7)[:3] == pytest.approx([0.397506925, 0.429501385, 0.353601108]), "in each release of NumPy"


@given(st.integers(1, 40), st.booleans())
@settings(max_examples=20)
def test_each_sample_has_as_many_units_and_each_stratum_keeps_its_own(units: int, stratified: bool) -> None:
    strata = np.arange(units) % 3 if stratified else None
    counts = draw(lambda drawn: drawn, units, BEGIN, strata)
    assert counts.shape == (DRAWS, units)
    assert (counts.sum(axis=1) == units).all()
    if strata is not None:
        for stratum in range(min(3, units)):
            assert (counts[:, strata == stratum].sum(axis=1) == (strata == stratum).sum()).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(units), abs=0.15)


@pytest.mark.parametrize("rows", [300, UNITS + 3_000])
def test_the_spread_of_a_mean_is_that_of_theory(rows: int) -> None:
    values = random.exponential(size=rows)
    drawn = mean(values, BEGIN)
    assert drawn.mean() == pytest.approx(values.mean(), abs=4 * values.std() / np.sqrt(rows * DRAWS))
    assert drawn.std() == pytest.approx(values.std() / np.sqrt(rows), rel=0.06)
    low, high = bounds(drawn, 0.9)
    wanted = stats.norm.interval(0.9, values.mean(), values.std() / np.sqrt(rows))
    assert (low, high) == pytest.approx(wanted, abs=0.3 * values.std() / np.sqrt(rows))


def test_alike_rows_of_a_group_are_not_taken_for_independent_ones() -> None:
    groups = np.repeat(np.arange(300), 10)
    values = np.repeat(random.normal(size=300), 10)
    alone, clustered = mean(values, BEGIN).std(), mean(values, BEGIN, groups).std()
    assert clustered == pytest.approx(alone * np.sqrt(10), rel=0.1)
    names = np.array([f"patient {number}" for number in groups])
    assert np.array_equal(
        mean(values, BEGIN, names).std(), mean(values, BEGIN, np.unique(names, return_inverse=True)[1]).std()
    )


def test_sums_add_up_to_the_whole() -> None:
    values = random.normal(size=(UNITS * 2 + 7, 3))
    assert sums(values).shape == (UNITS, 3)
    assert sums(values).sum(axis=0) == pytest.approx(values.sum(axis=0))
    assert np.array_equal(sums(values[:50]), values[:50])


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=30))
def test_auc_counts_pairs_and_half_of_ties(rows: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([s for s, _ in rows], float), np.array([p for _, p in rows])
    found = auc(scores, positive)(np.ones((1, len(rows))))[0]
    if positive.all() or not positive.any():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(positive, scores))
        weights = 1.0 + np.arange(len(rows)) % 3
        wanted = roc_auc_score(positive, scores, sample_weight=weights)
        assert auc(scores, positive)(weights[None])[0] == pytest.approx(wanted)


def test_it_is_cheap() -> None:
    """0.08 CPU-seconds where it was measured; the bound leaves room for a slow machine."""
    values, began = random.normal(size=UNITS), time.process_time()
    mean(values, BEGIN)
    assert time.process_time() - began < 1.0
