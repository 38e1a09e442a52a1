"""Tests of paired shares: against published figures, against scipy from first principles, and what must always hold."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from colchis_steps._evaluation.statistics.proportions import (
    better,
    binomial,
    interval,
    not_worse,
    score,
    tail,
    wilson,
    worse,
)

rows = st.integers(1, 400)
tables = rows.flatmap(lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n))).filter(
    lambda t: t[0] + t[1] <= t[2]
)


def by_definition(gained: int, lost: int, n: int, change: float) -> float:
    """Return the score statistic with the most likely shares found by search, not by Tango's closed form."""
    low, high = max(0.0, -change), (1 - change) / 2

    def unlikely(share: float) -> float:
        cells = ((gained, share + change), (lost, share), (n - gained - lost, 1 - 2 * share - change))
        return -sum(count * math.log(max(p, 1e-300)) for count, p in cells if count)

    share = float(optimize.minimize_scalar(unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x)
    return float((gained - lost - n * change) / math.sqrt(n * (2 * share + change - change**2)))


def test_figures_that_others_published() -> None:
    """Cavo et al. 2012, in Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables, 2017."""
    low, high = interval(6, 16, 161)
    assert (round(float(low), 4), round(float(high), 4)) == (-0.1240, -0.0054)
    assert round(2 * better(16, 6), 6) == 0.034690
    assert [round(bound, 4) for bound in wilson(81, 263)] == [0.2553, 0.3662]  # Newcombe 1998


@pytest.mark.parametrize(("gained", "lost", "n"), [(6, 16, 161), (0, 1, 44), (3, 0, 60), (0, 0, 300), (20, 90, 3000)])
@pytest.mark.parametrize("change", [-0.1, -0.01, 0.003, 0.05])
def test_the_closed_form_is_the_score_test_from_first_principles(gained: int, lost: int, n: int, change: float) -> None:
    assert float(score(gained, lost, n, change)) == pytest.approx(by_definition(gained, lost, n, change), abs=1e-3)


@given(tables)
def test_without_a_change_it_is_mcnemars_statistic(table: tuple[int, int, int]) -> None:
    gained, lost, n = table
    wanted = (gained - lost) / math.sqrt(gained + lost) if gained + lost else 0.0
    assert float(score(gained, lost, n, 0.0)) == pytest.approx(wanted)


@given(tables, st.floats(0.5, 0.99))
def test_the_interval_is_what_the_test_does_not_reject(table: tuple[int, int, int], confidence: float) -> None:
    gained, lost, n = table
    low, high = (float(bound) for bound in interval(gained, lost, n, confidence))
    z = stats.norm.ppf((1 + confidence) / 2)
    assert -1 <= low <= (gained - lost) / n <= high <= 1
    for change in (low + 1e-6, high - 1e-6):
        assert low > high - 2e-6 or abs(float(score(gained, lost, n, change))) <= z + 1e-6
    for change in (low - 1e-6, high + 1e-6):
        assert not -1 < change < 1 or abs(float(score(gained, lost, n, change))) >= z - 1e-6
    wider = interval(gained, lost, n, (1 + confidence) / 2)
    assert wider[0] <= low
    assert high <= wider[1]


@given(tables)
def test_candidate_and_baseline_trade_places_by_the_sign(table: tuple[int, int, int]) -> None:
    gained, lost, n = table
    low, high = interval(gained, lost, n)
    mirrored = interval(lost, gained, n)
    assert (float(low), float(high)) == pytest.approx((-float(mirrored[1]), -float(mirrored[0])))


@given(tables, st.floats(0.001, 0.2))
def test_one_more_row_lost_or_a_smaller_margin_never_helps(table: tuple[int, int, int], margin: float) -> None:
    gained, lost, n = table
    value = float(not_worse(gained, lost, n, margin))
    assert 0 <= value <= 1
    assert float(not_worse(gained, lost, n, margin / 2)) >= value - 1e-12
    if gained + lost < n:
        assert float(not_worse(gained, lost + 1, n, margin)) >= value - 1e-12


@given(tables, st.sampled_from([0.0, 0.01, 0.05]))
def test_no_candidate_is_told_worse_and_not_worse(table: tuple[int, int, int], margin: float) -> None:
    gained, lost, n = table
    told = float(worse(gained, lost, n, margin)) <= 0.05
    assert not (told and margin and float(not_worse(gained, lost, n, margin)) <= 0.05)
    assert not told or (gained - lost) / n < -margin
    if gained + lost < n:
        assert float(worse(gained, lost + 1, n, margin)) <= float(worse(gained, lost, n, margin)) + 1e-12


@pytest.mark.parametrize("lost", range(8))
def test_it_is_told_worse_no_sooner_than_by_an_exact_test(lost: int) -> None:
    assert float(worse(0, lost, 60, 0.01)) >= stats.binom(60, 0.01).sf(lost - 1) - 1e-9


def test_models_that_never_differ_need_rows_for_it_to_mean_something() -> None:
    assert float(not_worse(0, 0, 50, 0.01)) > 0.05
    assert float(tail(score(0, 0, 268, -0.01))) < 0.05 < float(not_worse(0, 0, 268, 0.01))
    assert float(not_worse(0, 0, 299, 0.01)) <= 0.05


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (0, 5), (8, 2), (40, 31), (700, 650)])
def test_mcnemars_mid_p(gained: int, lost: int) -> None:
    there = stats.binom(gained + lost, 0.5)
    assert better(gained, lost) == pytest.approx(there.sf(gained) + there.pmf(gained) / 2)


@pytest.mark.parametrize(("count", "share"), [(1, 0.5), (300, 0.01), (5000, 0.3)])
def test_binomial_probabilities(count: int, share: float) -> None:
    assert binomial(count, share) == pytest.approx(stats.binom(count, share).cdf(np.arange(count + 1)), abs=1e-9)


@given(rows.flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_wilson(case: tuple[int, int], confidence: float) -> None:
    found = stats.binomtest(*case).proportion_ci(confidence, "wilson")
    assert wilson(*case, confidence) == pytest.approx((found.low, found.high), abs=1e-9)


def test_no_rows_tell_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert better(0, 0) == 0.5
