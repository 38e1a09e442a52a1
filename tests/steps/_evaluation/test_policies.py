"""A run's thresholds and the policy's: whatever the run gives, what holds is never looser than the policy."""

import argparse
import json
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from colchis_steps._evaluation.gate import judge
from colchis_steps._evaluation.policies import check_named, enough_rows, first_model, laid_over, thresholds_of
from colchis_steps._formats.policy import Policy, Statistics
from colchis_steps._models.policy import Demands
from colchis_steps._step.errors import InputError

DIGEST = f"sha256:{'a1' * 32}"
NAMES = ("accuracy", "loss", "recall/label=0")
bounds = st.dictionaries(
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from(["min", "max", "min_change", "max_change"]), st.floats(-1, 1), min_size=1),
)
values = st.fixed_dictionaries({name: st.floats(0, 1) for name in NAMES})


def demands(**fields: Any) -> Demands:
    return Demands(Policy(**fields), DIGEST)


def run(thresholds: object = None, **more: str) -> argparse.Namespace:
    text = "" if thresholds is None else json.dumps(thresholds)
    return argparse.Namespace(**{"thresholds": text, "metrics": "", "first_model": "accept", "data": "d"} | more)


@given(bounds, bounds, values, values)
def test_what_holds_passes_only_what_the_policy_passes_and_the_run_passes(
    policy: Any, mine: Any, candidate: dict[str, float], baseline: dict[str, float]
) -> None:
    try:
        found = laid_over(mine, demands(thresholds=policy), "none")
    except InputError:
        assume(False)
    if judge(found, candidate, baseline)[0] == "pass":
        assert judge(policy, candidate, baseline)[0] == judge(mine, candidate, baseline)[0] == "pass"


@pytest.mark.parametrize(
    ("bound", "policy", "looser", "stricter"),
    [
        ("min", 0.9, 0.89, 0.95),
        ("max", 0.1, 0.2, 0.05),
        ("min_change", -0.01, -0.02, 0.0),
        ("max_change", 0.01, 0.02, 0.0),
        ("not_worse", 0.02, 0.03, 0.01),
        ("better", 0.01, 0.0, 0.02),
    ],
)
def test_each_bound_may_be_stricter_and_not_looser(bound: str, policy: float, looser: float, stricter: float) -> None:
    wanted = demands(thresholds={"accuracy": {bound: policy}})
    assert laid_over({"accuracy": {bound: stricter}}, wanted, "classification") == {"accuracy": {bound: stricter}}
    assert laid_over({}, wanted, "classification") == {"accuracy": {bound: policy}}
    said = f"threshold {bound} of 'accuracy' is {looser:g}, looser than {policy:g}, which policy a1a1a1a1a1a1 demands"
    with pytest.raises(InputError, match=re.escape(said)):
        laid_over({"accuracy": {bound: looser}}, wanted, "classification")


def test_what_only_one_of_them_bounds_holds_too() -> None:
    wanted = demands(thresholds={"accuracy": {"min": 0.9}})
    found = laid_over({"accuracy": {"not_worse": 0.01}, "loss": {"max": 1}}, wanted, "classification")
    assert found == {"accuracy": {"min": 0.9, "not_worse": 0.01}, "loss": {"max": 1}}


def test_a_policy_says_how_sure_values_and_how_narrow_margins_have_to_be() -> None:
    wanted = demands(statistics=Statistics(confidence=0.95, margin=0.02))
    found = laid_over(
        {"accuracy": {"min": 0.9}, "auc": {"min": 0.8}, "recall/*": {"min": 0.1}}, wanted, "classification"
    )
    assert found == {
        "accuracy": {"min": 0.9, "confidence": 0.95},
        "auc": {"min": 0.8},  # which has no interval
        "recall/*": {"min": 0.1, "confidence": 0.95},
    }
    for mine, said in (
        (
            {"accuracy": {"min": 0.9, "confidence": 0.9}},
            "confidence of 'accuracy' is 0.9, and policy a1a1a1a1a1a1 asks",
        ),
        ({"accuracy": {"not_worse": 0.03}}, "asks for at most 0.02"),
    ):
        with pytest.raises(InputError, match=said):
            laid_over(mine, wanted, "classification")
    assert thresholds_of(run(), "classification", demands(statistics=Statistics(margin=0.005))) == {
        "accuracy": {"not_worse": 0.005}
    }, "of a task's own thresholds, too"


def test_a_run_without_thresholds_gets_those_of_the_policy_and_without_either_those_of_the_task() -> None:
    mine = {"accuracy": {"min": 0.9}}
    assert thresholds_of(run(), "classification", demands(thresholds=mine)) == mine
    assert thresholds_of(run(), "classification", Demands(Policy())) == {"accuracy": {"not_worse": 0.01}}
    assert thresholds_of(run(mine), "classification", Demands(Policy())) == mine
    with pytest.raises(InputError, match="no thresholds unless you give some"):
        thresholds_of(run(metrics="m:f"), "none", Demands(Policy()))
    assert thresholds_of(run(metrics="m:f"), "none", demands(thresholds=mine)) == mine


def test_a_policy_that_bounds_what_there_is_not_is_told_as_the_policys_fault() -> None:
    with pytest.raises(
        InputError, match="policy a1a1a1a1a1a1 of digits cannot be held: thresholds name the metric 'x'"
    ):
        check_named(demands(thresholds={"x": {"min": 1.0}}), "digits", {"accuracy": 0.9})


def test_few_rows_conclude_nothing() -> None:
    wanted = demands(statistics=Statistics(rows=300))
    assert enough_rows(Demands(Policy()), 1) == ()
    (few,), (enough,) = enough_rows(wanted, 299), enough_rows(wanted, 300)
    assert (few.passed, few.severity) == (False, "undecided")
    assert few.reason == (
        "the split test has 299 rows, and policy a1a1a1a1a1a1 asks for 300 before anything is concluded"
    )
    assert enough.passed


def test_a_first_model_is_rejected_where_either_says_so() -> None:
    assert first_model(run(), demands()) == "accept"
    assert first_model(run(), demands(first_model="reject")) == "reject"
    assert first_model(run(first_model="reject"), demands()) == "reject"
