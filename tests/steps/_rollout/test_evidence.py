"""Likelihood ratios and bets: supermartingales while a canary is tolerated, and quick once it is not."""

import math
import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colchis_steps._rollout.evidence import BLOCK, Bets, Trials, evidence

shares = st.floats(0.001, 0.95)


@given(st.integers(0, 200), st.integers(0, 200), shares, shares)
def test_evidence_grows_with_each_event_and_falls_with_each_trial_without_one(
    events: int, calm: int, one: float, other: float
) -> None:
    low, high = sorted((one, min(0.99, other + 0.01 + abs(one - other))))
    if high - low < 1e-3:
        return
    weight = evidence(events, events + calm, low, high)
    assert evidence(events + 1, events + 1 + calm, low, high) > weight > evidence(events, events + calm + 1, low, high)


@given(shares, st.integers(1, 60))
def test_the_likelihood_ratio_has_the_mean_one_when_the_canary_is_just_tolerated(low: float, trials: int) -> None:
    high = low + (1 - low) / 3
    mean = sum(
        math.comb(trials, n) * low**n * (1 - low) ** (trials - n) * math.exp(evidence(n, trials, low, high))
        for n in range(trials + 1)
    )
    assert mean == pytest.approx(1, rel=1e-6)  # what Ville's inequality takes


@given(st.lists(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]), max_size=8), st.floats(0.01, 0.5))
def test_a_bet_on_a_fair_pair_gains_nothing_on_the_mean(pairs: list[tuple[int, int]], tolerated: float) -> None:
    bets = Bets([[0, 1]], tolerated)
    for canary, stable in pairs:
        bets.add([canary], [stable])
    before, mean = math.exp(bets.evidence()), 0.0
    for canary in (0, 1):
        for stable in (0, 1):
            after = Bets([[0, 1]], tolerated)
            for pair in [*pairs, (canary, stable)]:
                after.add(*([one] for one in pair))
            mean += math.exp(after.evidence()) / 4
    assert mean <= before * (1 + 1e-9)


@settings(deadline=None)
@given(st.floats(0.01, 0.5), st.lists(st.tuples(st.booleans(), st.booleans()), max_size=3 * BLOCK), st.floats(0.0, 1.0))
def test_beginning_anew_gains_nothing_on_the_mean_while_the_canary_is_tolerated(
    tolerated: float, before: list[tuple[bool, bool]], both: float
) -> None:
    """Whatever was before, at each place, and however the places depend on each other."""

    def made(*more: tuple[bool, bool]) -> float:
        trials = Trials(tolerated, tolerated + 0.2, places=2)
        for happened in [*before, *more]:
            trials.add(happened)
        return math.exp(trials.against())

    joint = tolerated * (both * 1 + (1 - both) * tolerated)  # of both: from independent to always together
    chances = {
        (True, True): joint,
        (True, False): tolerated - joint,
        (False, True): tolerated - joint,
        (False, False): 1 - 2 * tolerated + joint,
    }
    assert sum(chance * made(event) for event, chance in chances.items()) <= made() * (1 + 1e-9)


def test_a_measure_that_turns_bad_is_seen_nearly_as_soon_as_one_that_always_was() -> None:
    def needed(calm: int, *, alarm: float = 7.5) -> int:
        trials, number = Trials(0.5, 0.75), 0
        for _ in range(calm):
            trials.add([False])
        while trials.against() < alarm:
            trials.add([True])
            number += 1
        return number

    at_once = needed(0)
    assert at_once <= 21
    assert [needed(calm) <= at_once + BLOCK for calm in (10, 100, 1000)] == [True] * 3
    plain = evidence(at_once + BLOCK, 1000 + at_once + BLOCK, 0.5, 0.75)
    assert plain < -500, "the trials from the first on hide it"


def test_the_evidence_is_plain_about_how_often_and_at_which_place() -> None:
    trials = Trials(0.1, 0.3, places=3)
    assert (trials.against(), trials.plain(), trials.most()) == (0, 0, 0)
    for number in range(30):
        trials.add([number < 3, number < 20, False])
    assert (trials.events, trials.trials, trials.most()) == ([3, 20, 0], 30, 1)
    assert trials.plain() == pytest.approx(evidence(20, 30, 0.1, 0.3))
    alone = Trials(0.1, 0.3)
    for number in range(30):
        alone.add([number < 20])
    assert alone.against() - math.log(3) <= trials.against() <= alone.against()


def test_bets_of_an_answer_with_places_see_where_a_class_moved() -> None:
    chance, bets = random.Random(5), Bets([range(4)] * 40, 0.1)
    for _ in range(200):
        stable = [chance.randrange(4) for _ in range(40)]
        bets.add([*stable[:39], 3], stable)
    assert bets.most()[1] == 39
    assert bets.evidence() > 15
    calm = Bets([range(4)] * 40, 0.1)
    for one, other in product(range(4), repeat=2):
        calm.add([one] * 40, [other] * 40)
    assert calm.evidence() < 0
    calm.add([], [0] * 40)  # what an answer lacks is as another class
    assert calm.most() == (1, 0)
