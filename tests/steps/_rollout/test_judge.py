"""The judgement of a canary: its bounds on false alarms and misses, and what it says."""

import math
import random

import pytest

from colchis_steps._rollout.judge import FALSE_ALARM, MISS, Answer, Judge, Tolerances, reason, tolerances, verdict
from colchis_steps._step.errors import InputError

FINE = Answer(ok=True, seconds=0.01, labels=((3,),))


def judged(pairs: list[tuple[Answer, Answer]], steps: int = 1) -> Judge:
    judge = Judge(Tolerances(), steps, [[(number,) for number in range(10)]])
    for canary, stable in pairs:
        judge.pair(canary, stable)
    return judge


def until_verdict(judge: Judge, canary: Answer, most: int = 1000) -> tuple[str, int]:
    for number in range(1, most):
        judge.pair(canary, FINE)
        if said := verdict(judge.findings()):
            return said, number
    return "", most


@pytest.mark.parametrize(
    ("canary", "measure"),
    [
        (Answer(ok=False, error="status 500: broken"), "errors"),
        (Answer(ok=True, seconds=0.02, labels=((3,),)), "latency"),
        (Answer(ok=True, seconds=0.01, labels=((8,),)), "disagreement"),
    ],
)
def test_what_is_always_wrong_is_refused_after_a_few_answers(canary: Answer, measure: str) -> None:
    judge = judged([], steps=3)
    said, pairs = until_verdict(judge, canary)
    assert (said, pairs <= 20) == ("fail", True)
    assert reason(judge.findings()).startswith(f"{measure}: {pairs} of {pairs} ")


def test_what_is_never_wrong_passes_after_some_answers() -> None:
    said, pairs = until_verdict(judged([], steps=3), FINE)
    assert (said, pairs <= 60) == ("pass", True)


def test_answers_that_stable_does_not_give_say_nothing_of_the_canary() -> None:
    judge = judged([(Answer(ok=False), Answer(ok=False))] * 100)
    assert (judge.unanswered, verdict(judge.findings())) == (100, "")
    assert {finding.trials for finding in judge.findings()} == {0}


def test_failures_of_users_requests_are_enough_for_a_no_and_none_are_needed_for_a_yes() -> None:
    judge = judged([(FINE, FINE)] * 60)
    assert verdict(judge.findings()) == "pass"
    judge.served((100, 30), (900, 0))
    assert verdict(judge.findings()) == "fail"
    told = "served: 30 of 100 of users' requests failed, more than of stable's; 1% is tolerated"
    assert told in reason(judge.findings())


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_requests_that_are_made_to_fail_cannot_refuse_a_good_canary(share: float) -> None:
    """However many there are, they fall to both by share; those that are aimed are not counted."""
    chance, refused = random.Random(3), 0
    for _ in range(200):
        judge = judged([], steps=3)
        for _ in range(60):
            crafted = chance.choice([0, 3, 50])
            canary = sum(chance.random() < share for _ in range(crafted))
            calm = sum(chance.random() < share for _ in range(50))
            judge.served((calm + canary, canary), (50 - calm + crafted - canary, crafted - canary))
            if verdict(judge.findings()) == "fail":
                refused += 1
                break
    assert refused <= 200 * FALSE_ALARM + 3


def test_three_crafted_requests_say_nothing_where_stable_was_not_asked_or_fails_alike() -> None:
    for stable in ((0, 0), (3, 3), (30, 3)):
        judge = judged([], steps=1)
        judge.served((3, 3), stable)
        assert verdict(judge.findings()) == ""


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.5])
def test_a_canary_that_fails_where_stable_does_not_is_refused_by_users_requests_alone(share: float) -> None:
    chance, asked = random.Random(5), []
    for _ in range(50):
        judge, requests = judged([], steps=3), 0
        while verdict(judge.findings()) != "fail":
            canary = sum(chance.random() < share for _ in range(50))
            failed = sum(chance.random() < 0.2 for _ in range(canary))
            judge.served((canary, failed), (50 - canary, 0))
            requests += canary
        asked.append(requests)
    assert sorted(asked)[25] <= 100, "the canary's requests until it is refused, in the middle"


def test_a_class_that_grows_is_seen_even_where_the_disagreement_alone_is_not() -> None:
    chance, alarms = random.Random(7), 0
    for _ in range(20):
        judge = judged([])
        for _ in range(2000):
            truth = chance.randrange(10)
            answered = 8 if chance.random() < 0.2 else truth  # 18 % are otherwise, all of them to 8
            one, other = (Answer(ok=True, seconds=0.01, labels=((label,),)) for label in (answered, truth))
            judge.pair(one, other)
        alarms += next(f for f in judge.findings() if f.name == "distribution").state == "bad"
    assert alarms >= 19


def trial(chance: random.Random, *, errors: float, slower: float, disagree: float, steps: int) -> str:
    judge = judged([], steps)
    for _ in range(3000):
        ok = chance.random() >= errors
        seconds = 0.01 * (3 if chance.random() < slower else 1)
        label = ((chance.randrange(10),),)
        other = ((chance.randrange(10),),) if chance.random() < disagree else label
        judge.pair(Answer(ok=ok, seconds=seconds, labels=other), Answer(ok=True, seconds=0.01, labels=label))
        if said := verdict(judge.findings()):
            return said
    return ""


def test_false_alarms_and_misses_stay_within_what_is_stated() -> None:
    """Binomial bounds: 99.9999 % of seeds would pass, were the rates as high as is stated."""
    chance, trials = random.Random(11), 400
    good = [trial(chance, errors=0.005, slower=0.4, disagree=0.05, steps=3) for _ in range(trials)]
    assert good.count("fail") <= FALSE_ALARM * trials + 5 * math.sqrt(FALSE_ALARM * trials)
    assert good.count("pass") >= 0.98 * trials
    bad = [trial(chance, errors=0.2, slower=0.4, disagree=0.05, steps=3) for _ in range(trials)]
    assert bad.count("pass") <= MISS * trials + 5 * math.sqrt(MISS * trials)
    assert bad.count("fail") >= 0.95 * trials


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "the tolerances '\\['"),
        ('{"error": 1}', "unknown field"),
        ('{"errors": 0}', "errors is 0; give a share above 0"),
        ('{"disagreement": 0.9}', "disagreement is 0.9"),
        ('{"latency": 0.5}', "latency is 0.5; give a factor of at least 1"),
    ],
)
def test_wrong_tolerances_are_told(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        tolerances(text)


def test_tolerances_have_defaults() -> None:
    assert tolerances("") == Tolerances()
    assert tolerances('{"latency": 2}') == Tolerances(latency=2)
