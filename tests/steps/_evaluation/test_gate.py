"""The gate's judgement: both kinds of bounds must hold, slices too, NaN never does, and stricter never passes more."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._evaluation.gate import judge, never_right, rules, verdict
from colchis_steps._step.errors import InputError

NAMES = ("accuracy", "loss", "recall/label=0", "recall/label=1")
GOOD = {"accuracy": 0.96, "loss": 0.1, "recall/label=0": 0.9, "recall/label=1": 0.85}
values = st.fixed_dictionaries({name: st.floats(0, 1) | st.just(math.nan) for name in NAMES})
bounds = st.dictionaries(
    st.sampled_from([*NAMES, "recall/*"]),
    st.dictionaries(st.sampled_from(["min", "max", "min_change", "max_change"]), st.floats(-1, 1), min_size=1),
)


@given(given_rules=bounds, candidate=values, baseline=st.none() | values, tighter=st.floats(0, 1))
def test_a_stricter_gate_never_passes_more(
    given_rules: dict[str, dict[str, float]],
    candidate: dict[str, float],
    baseline: dict[str, float] | None,
    tighter: float,
) -> None:
    stricter = {
        metric: {name: limit + tighter if name.startswith("min") else limit - tighter for name, limit in limits.items()}
        for metric, limits in given_rules.items()
    }
    if judge(stricter, candidate, baseline)[0] == "pass":
        assert judge(given_rules, candidate, baseline)[0] == "pass"


@given(given_rules=bounds, candidate=values, baseline=st.none() | values)
def test_each_failed_check_has_a_reason_and_makes_the_verdict(
    given_rules: dict[str, dict[str, float]], candidate: dict[str, float], baseline: dict[str, float] | None
) -> None:
    verdict, checks = judge(given_rules, candidate, baseline)
    assert (verdict == "pass") == all(check.passed for check in checks)
    assert all(check.passed == (not check.reason) for check in checks)


@pytest.mark.parametrize(
    ("text", "verdict", "reason"),
    [
        ('{"accuracy": {"min": 0.95}}', "pass", ""),
        ('{"accuracy": {"min": 0.97}}', "fail", "accuracy is 0.9600, below 0.97"),
        ('{"loss": {"max": 0.05}}', "fail", "loss is 0.1000, above 0.05"),
        ('{"recall/*": {"min": 0.88}}', "fail", "recall/label=1 is 0.8500, below 0.88"),
        ('{"recall/label=0": {"min": 0.88}}', "pass", ""),
        ('{"accuracy": {"min_change": -0.01}}', "pass", ""),
        ('{"accuracy": {"min_change": 0.0}}', "fail", "change of accuracy is -0.0100, below 0"),
        ('{"loss": {"max_change": 0.05}}', "pass", ""),
        ('{"accuracy": {"min": 0.95, "min_change": 0.0}}', "fail", "change of accuracy is -0.0100, below 0"),
        ("{}", "pass", ""),
    ],
)
def test_bounds_on_values_and_changes(text: str, verdict: str, reason: str) -> None:
    found, checks = judge(rules(text), GOOD, GOOD | {"accuracy": 0.97})
    assert found == verdict
    assert [check.reason for check in checks if not check.passed] == ([reason] if reason else [])


@pytest.mark.parametrize("bound", ["min", "max", "min_change", "max_change"])
def test_nan_metric_never_passes(bound: str) -> None:
    nan = dict.fromkeys(GOOD, math.nan)
    for candidate, baseline in ((nan, GOOD), (nan, nan)):
        verdict, checks = judge({"loss": {bound: 0.0}}, candidate, baseline)
        assert verdict == "fail"
        assert checks[0].reason.endswith("nan, not a number")


def test_a_first_model_is_held_to_values_alone() -> None:
    given_rules = rules('{"accuracy": {"min": 0.95, "min_change": 0.5}}')
    assert judge(given_rules, GOOD, None)[0] == "pass"
    verdict, checks = judge(given_rules, GOOD, None, "reject")
    assert verdict == "fail"
    assert checks[-1].reason == "no version of this model is stable yet, and a first model is to be rejected"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "thresholds .* are not JSON"),
        ("3", "not a JSON object"),
        ('{"accuracy": 0.9}', "threshold of 'accuracy' is 0.9; give an object of min, max, min_change, max_change"),
        ('{"accuracy": {"least": 0.9}}', "threshold of 'accuracy' is"),
        ('{"accuracy": {}}', "threshold of 'accuracy' is"),
        ('{"accuracy": {"min": "0.9"}}', "threshold min of 'accuracy' is '0.9'; give a finite number"),
        ('{"accuracy": {"min": NaN}}', "threshold min of 'accuracy' is 'nan'"),
        ('{"accuracy": {"min": true}}', "threshold min of 'accuracy' is 'True'"),
    ],
)
def test_malformed_thresholds_are_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        rules(text)


@pytest.mark.parametrize("metric", ["acuracy", "recall", "recall/label=7", "precision/*"])
def test_unknown_metrics_are_refused_with_what_there_is(metric: str) -> None:
    with pytest.raises(InputError, match=r"but there are only accuracy, loss, recall/\*; correct it"):
        judge({metric: {"min": 0.5}}, GOOD, None)


def test_a_class_that_is_never_right_is_warned_of_and_rejects_nothing() -> None:
    slices = {
        "label=no": {"recall": 0.99, "support": 357.0},
        "label=yes": {"recall": 0.0, "support": 8.0},
        "label=none": {"recall": math.nan, "support": 0.0},
    }
    (check,) = never_right(slices)
    assert check.severity == "warn"
    assert check.reason.startswith("none of the 8 rows of label=yes is predicted rightly; ")
    assert verdict([check]) == "pass"
    assert never_right({"label=no": slices["label=no"]}) == ()
