"""How many rows a comparison needs, against the figures of simulations and the normal approximation."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colchis_steps._evaluation.statistics.power import least_rows, margin_for, power, rows_for


@pytest.mark.parametrize(
    ("rows", "differing", "wanted"), [(360, 0.01, 0.49), (360, 0.2, 0.11), (1000, 0.03, 0.56), (10_000, 0.2, 0.72)]
)
def test_how_often_equal_models_pass_at_one_point(rows: int, differing: float, wanted: float) -> None:
    assert power(rows, differing, 0.01) == pytest.approx(wanted, abs=0.015)


@pytest.mark.parametrize(("rows", "differing", "points"), [(300, 0.03, 2.5), (300, 0.2, 6.4), (10_000, 0.1, 0.8)])
def test_the_margin_for_four_fifths(rows: int, differing: float, points: float) -> None:
    """2.49 √(d/n), which whole counts make a little more."""
    assert 100 * margin_for(rows, differing, 0.8) == pytest.approx(points, rel=0.15)


@given(st.integers(50, 3_000), st.floats(0.01, 0.3))
@settings(max_examples=15, deadline=None)
def test_the_margin_proposed_can_be_told_and_the_next_smaller_cannot(rows: int, differing: float) -> None:
    margin = margin_for(rows, differing)
    assert power(rows, differing, margin) >= 0.5
    assert margin < 0.003 or power(rows, differing, margin - 0.002) < 0.55


def test_no_disagreement_is_a_matter_of_rows_alone() -> None:
    assert power(299, 0.0, 0.01) == 1.0
    assert power(298, 0.0, 0.01) == 0.0


def test_least_rows_of_a_bootstrap() -> None:
    assert [least_rows(margin) for margin in (0.01, 0.005, 0.003, 0.1, None)] == [300, 600, 1000, 300, 300]


def test_rows_that_would_tell() -> None:
    assert rows_for(0.0, -0.01, 0.2) == 1083
    assert rows_for(-0.01, -0.01, 0.2) is None
