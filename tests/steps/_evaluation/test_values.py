"""Bounds on values that are to hold with a confidence."""

import numpy as np
import pytest
from tests.steps._evaluation.test_changes import CLASSES, results

from colchis_steps._evaluation.gate import judge, rules
from colchis_steps._evaluation.pairs import Pair
from colchis_steps._evaluation.statistics.proportions import wilson
from colchis_steps._evaluation.values import judge_values
from colchis_steps._step.errors import InputError

RULES = {"accuracy": {"min": 0.95, "confidence": 0.95}}
KNOWN = ("accuracy", "loss", "mape", "recall/label=a", "accuracy/region=x")


def alone(rows: int, right: int, **more: object) -> Pair:
    found = results(np.arange(rows) < right)
    return Pair("classification", CLASSES, found, found, 7, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "right", "wanted"),
    [(360, 352, "pass"), (360, 346, "undecided"), (360, 340, "error"), (10, 10, "undecided"), (1, 1, "undecided")],
)
def test_a_share_is_told_by_its_lower_bound(rows: int, right: int, wanted: str) -> None:
    (found,) = judge_values(RULES, KNOWN, alone(rows, right), "classification")
    assert (found.passed or found.severity) == (True if wanted == "pass" else wanted)
    assert found.passed == (wilson(right, rows, 0.9)[0] >= 0.95)
    assert found.passed == (not found.reason)


def test_a_loss_is_told_by_draws_and_needs_rows() -> None:
    bound = {"loss": {"max": 0.3, "confidence": 0.9}}
    assert judge_values(bound, KNOWN, alone(2_000, 1_900), "classification")[0].passed
    (few,) = judge_values(bound, KNOWN, alone(100, 95), "classification")
    assert few.severity == "undecided"
    assert "that cannot be told by 100 rows" in few.reason


def test_rows_of_groups_and_parts_of_the_data_are_told_too() -> None:
    bound = {"accuracy": {"min": 0.85, "confidence": 0.95}, "accuracy/region=x": {"min": 0.5, "confidence": 0.95}}
    groups = np.arange(2_000) // 4
    one, part = judge_values(
        bound, KNOWN, alone(2_000, 1_800, groups=groups, parts={"region=x": groups < 400}), "classification"
    )
    assert one.passed
    assert "500 rows" in one.actual
    assert part.passed


def test_a_bound_with_a_confidence_is_not_judged_by_the_figure_alone() -> None:
    assert judge(RULES, {"accuracy": 0.1}, {})[1] == ()
    assert judge({"accuracy": {"min": 0.9}}, {"accuracy": 0.1}, {})[0] == "fail"


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"ask a confidence of 'mape', which is told of accuracy, loss, brier, .* alone"
    ):
        judge_values({"mape": {"min": 0.9, "confidence": 0.9}}, KNOWN, alone(10, 9), "classification")
    with pytest.raises(InputError, match="told of nothing alone"):
        judge_values({"cost": {"max": 1.0, "confidence": 0.9}}, ["cost"], None, "none")


@pytest.mark.parametrize("text", ['{"accuracy": {"min": 0.9, "confidence": 1}}', '{"accuracy": {"confidence": 0.9}}'])
def test_a_confidence_stands_beside_a_bound(text: str) -> None:
    with pytest.raises(InputError, match=r"threshold confidence of 'accuracy' is .* beside min or max"):
        rules(text)


@pytest.mark.parametrize("text", ['{"accuracy": {"not_worse": 0}}', '{"accuracy": {"better": -0.1}}'])
def test_a_margin_is_a_share(text: str) -> None:
    with pytest.raises(InputError, match="give the margin, a number from"):
        rules(text)
