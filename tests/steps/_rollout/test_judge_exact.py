"""The canary's tests to the very answer at which they decide, by the stated rates of false alarms and misses."""

import math

import pytest

from colchis_steps._rollout.judge import Answer, Judge, Tolerances, verdict

FINE, BROKEN = Answer(ok=True, seconds=0.01, labels=((3,),)), Answer(ok=False)
MEASURES = 5  # errors, latency, disagreement, served, distribution


def answers(judge: Judge, canary: Answer) -> int:
    """Count the pairs until there is a verdict."""
    for number in range(1, 1000):
        judge.pair(canary, FINE)
        if verdict(judge.findings()):
            return number
    raise AssertionError("there is always a verdict")


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_all_measures_and_steps_together_raise_a_false_alarm_in_one_of_a_hundred_rollouts(steps: int) -> None:
    alarm = Judge(Tolerances(), steps).alarm
    assert math.exp(-alarm) * MEASURES * steps == pytest.approx(0.01)


@pytest.mark.parametrize(("steps", "failures"), [(1, 3), (3, 4), (30, 5)])
def test_a_canary_that_always_fails_is_refused_at_the_very_answer(steps: int, failures: int) -> None:
    """Each failure multiplies the likelihood ratio by 0.1 / 0.01; the alarm is at 500, 1500 and 15,000."""
    judge = Judge(Tolerances(), steps, [[(3,)]])
    assert answers(judge, BROKEN) == failures
    assert verdict(judge.findings()) == "fail"


def test_a_canary_that_never_fails_passes_at_the_very_answer() -> None:
    """Each good answer multiplies the ratio of the errors, which are the last to decide, by 0.9 / 0.99."""
    judge = Judge(Tolerances(), 3, [[(3,)]])
    expected = math.ceil(math.log(0.01) / math.log(0.9 / 0.99))
    assert answers(judge, FINE) == expected == 49
    assert verdict(judge.findings()) == "pass"


def test_a_canary_that_is_as_slow_as_is_tolerated_counts_as_not_slower() -> None:
    judge = Judge(Tolerances(latency=2.0), 1, [[(3,)]])
    judge.pair(Answer(ok=True, seconds=0.02, labels=((3,),)), FINE)
    judge.pair(Answer(ok=True, seconds=math.nextafter(0.02, 1), labels=((3,),)), FINE)
    found = next(finding for finding in judge.findings() if finding.name == "latency")
    assert (found.events, found.trials) == (1, 2)
