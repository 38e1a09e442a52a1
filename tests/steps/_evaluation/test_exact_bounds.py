"""Bounds at their very values: the gate's thresholds, and the edges of the bins of confidence."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._evaluation.gate import ROUNDING, judge
from colchis_steps._evaluation.scores.classification import BINS, Scores


@pytest.mark.parametrize("value", [0.9, 0.1, 1.0, 0.0, 0.30000000000000004])
def test_a_value_at_its_bound_passes_and_the_next_number_beyond_does_not(value: float) -> None:
    def verdict(bound: str, found: float) -> str:
        return judge({"accuracy": {bound: value}}, {"accuracy": found}, {})[0]

    assert verdict("min", value) == verdict("max", value) == "pass"
    assert verdict("min", math.nextafter(value, -math.inf)) == "fail"
    assert verdict("min", math.nextafter(value, math.inf)) == "pass"
    assert verdict("max", math.nextafter(value, math.inf)) == "fail"
    assert verdict("max", math.nextafter(value, -math.inf)) == "pass"


@pytest.mark.parametrize(("bound", "sign"), [("min_change", -1), ("max_change", 1)])
def test_a_change_at_its_bound_passes_up_to_rounding(bound: str, sign: int) -> None:
    def verdict(beyond: float) -> str:
        given_rules = {"accuracy": {bound: sign * 0.25}}
        return judge(given_rules, {"accuracy": 0.5 + sign * (0.25 + beyond)}, {"accuracy": 0.5})[0]

    assert verdict(0) == verdict(ROUNDING / 2) == "pass"
    assert verdict(ROUNDING * 2) == "fail"
    assert ROUNDING < 1e-6, "no larger than what a difference of two shares is rounded by"


def test_no_change_is_enough_where_none_is_asked_for() -> None:
    same = {"accuracy": 0.94}
    assert judge({"accuracy": {"min_change": 0.0, "max_change": 0.0}}, same, same)[0] == "pass"


@given(st.lists(st.tuples(st.integers(1, 1024), st.booleans()), min_size=1, max_size=40))
def test_the_calibration_error_has_bins_of_equal_width_each_with_its_lower_edge(rows: list[tuple[int, bool]]) -> None:
    """Confidences are whole 1024ths, so that no product with the number of bins is rounded."""
    scores = Scores(["a", "b"])
    probabilities = np.array([[share / 1024, 0.0] for share, _ in rows])
    scores.add(probabilities, np.array([0 if right else 1 for _, right in rows]))
    gaps: dict[int, Fraction] = {}
    for share, right in rows:
        confidence = Fraction(share, 1024)
        number = min(math.floor(confidence * 15), 14)
        gaps[number] = gaps.get(number, Fraction(0)) + confidence - right
    assert scores.metrics()["ece"] == pytest.approx(float(sum(map(abs, gaps.values())) / len(rows)))


def test_confidences_on_either_side_of_an_edge_do_not_make_up_for_one_another() -> None:
    assert BINS == 15
    for edge in range(1, BINS):
        below, above = edge / BINS - 0.01, edge / BINS + 0.01
        scores = Scores(["a", "b"])
        scores.add(np.array([[below, 0.0], [above, 0.0]]), np.array([1, 0]))
        assert scores.metrics()["ece"] == pytest.approx((below + 1 - above) / 2), f"edge {edge}"
        beside = Scores(["a", "b"])
        beside.add(np.array([[above, 0.0], [above + 0.02, 0.0]]), np.array([1, 0]))
        assert beside.metrics()["ece"] == pytest.approx(abs(2 * above + 0.02 - 1) / 2), f"bin {edge}"
