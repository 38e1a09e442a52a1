"""What a judgement reports: counts that add up, evidence to three digits, and reasons that name what is open."""

import math

import pytest

from colchis_steps._rollout.evidence import RATIOS, evidence
from colchis_steps._rollout.judge import Answer, Judge, Tolerances, reason, tolerances
from colchis_steps._step.errors import InputError


def test_counts_add_up_and_the_evidence_is_rounded() -> None:
    judge = Judge(Tolerances(), steps=3)
    judge.served((20, 1), (180, 0))
    judge.served((10, 1), (90, 0))
    found = {one.name: one for one in judge.findings()}
    served = found["served"]
    assert (served.events, served.trials, served.state) == (2, 30, "open")
    ratios = [2 * math.log(ratio / (ratio * 0.1 + 0.9)) for ratio in RATIOS]
    assert judge.failures.evidence() == pytest.approx(math.log(sum(map(math.exp, ratios)) / len(ratios)))
    assert served.evidence == round(min(evidence(2, 30, 0.01, 0.1), judge.failures.evidence()), 3)
    assert served.meaning != found["distribution"].meaning


def test_pairs_are_counted_and_the_last_error_is_kept() -> None:
    judge = Judge(Tolerances(), steps=3, classes=[["a", "b"]])
    assert judge.last_error == ""
    for _ in range(3):
        judge.pair(Answer(ok=True, seconds=0.1, labels=("a",)), Answer(ok=True, seconds=0.1, labels=("a",)))
    judge.pair(Answer(ok=False, error="500"), Answer(ok=True, seconds=0.1, labels=("a",)))
    found = {one.name: one for one in judge.findings()}
    assert judge.last_error == "500"
    assert (found["errors"].events, found["errors"].trials) == (1, 4)
    assert (found["distribution"].events, found["distribution"].trials) == (0, 3)
    assert found["distribution"].state == "open"


def test_the_reason_names_what_is_open_and_nothing_that_is_only_watched() -> None:
    findings = Judge(Tolerances(), steps=3).findings()
    parts = reason(findings).split("; ")
    names = [part.partition(":")[0] for part in parts if ": 0 of 0 " in part]
    assert names == ["errors", "latency", "disagreement"]


def test_the_bounds_themselves_are_tolerances() -> None:
    assert tolerances('{"errors": 0.7, "latency": 1}') == Tolerances(errors=0.7, latency=1)


def test_a_wrong_tolerance_shows_a_right_one() -> None:
    with pytest.raises(InputError, match=r'"latency":1\.5'):
        tolerances('{"lateness": 2}')
