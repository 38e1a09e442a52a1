"""Evidence on a canary that may be looked at whenever one likes: likelihood ratios and bets. Pure.

All are natural logarithms of nonnegative supermartingales of the mean 1 at most while a canary is within what is
tolerated, so by Ville's inequality one ever exceeds log(1/a) with a probability of at most a.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

BLOCK = 20  # trials, after which a likelihood ratio begins anew: about a second of questions
STAKES = (0.1, 0.3, 0.6)
RATIOS = (3.0, 10.0, 30.0)  # of the odds that a failure is the canary's
OTHERS = "another"  # stands for each class that was not known before


def evidence(events: float, trials: float, tolerated: float, unbearable: float) -> float:
    """Return the natural logarithm of the likelihood ratio of unbearable to tolerated, for events among trials."""
    calm = math.log1p(-unbearable) - math.log1p(-tolerated)
    return events * math.log(unbearable / tolerated) + (trials - events) * calm


def mean(weights: Mapping[float, int]) -> float:
    """Return the logarithm of the mean of e to these powers, each so many times."""
    most, total = max(weights), sum(weights.values())
    return most + math.log(sum(times * math.exp(one - most) for one, times in weights.items()) / total)


class Trials:
    """How often an event happened, at each of some places, and what speaks for and against "as is tolerated".

    A canary may be as good as stable at first, until users reach it, say. So what speaks against it is a mean of
    likelihood ratios that begin with every BLOCK-th trial, the k-th of them weighing 1 / (k (k + 1)); those still to
    begin count as 1. It is the sum of Shin, Ramdas and Rinaldo (E-detectors: a nonparametric framework for sequential
    change detection, 2024) with weights that add up to 1, which make it a supermartingale: the good trials before a
    turn weigh little, and a test that looks at any time still errs as seldom as is stated. Of several places it is the
    mean again.
    """

    def __init__(self, tolerated: float, unbearable: float, places: int = 1) -> None:
        self.bounds = (tolerated, unbearable)
        self.steps = (evidence(0, 1, *self.bounds), evidence(1, 1, *self.bounds))
        self.trials = 0
        self.events = [0] * places
        self.begun = [-math.inf] * places  # logarithms of the weighed sum of the ratios that have begun

    def add(self, happened: Sequence[bool]) -> None:
        """Take a trial: whether the event happened, at each place."""
        if self.trials % BLOCK == 0:
            weight = -math.log(self._number()) - math.log(self._number() + 1)
            self.begun = [_plus(one, weight) for one in self.begun]
        self.trials += 1
        self.events = [events + event for events, event in zip(self.events, happened, strict=True)]
        self.begun = [one + self.steps[event] for one, event in zip(self.begun, happened, strict=True)]

    def most(self) -> int:
        """Return the place that has most events."""
        return self.events.index(max(self.events))

    def plain(self) -> float:
        """Return the evidence against the worst place, of all trials from the first on."""
        return evidence(max(self.events), self.trials, *self.bounds)

    def against(self) -> float:
        """Return the logarithm of the mean of the ratios from each beginning, over all places."""
        to_come = -math.log(self._number())
        return mean(Counter(_plus(one, to_come) for one in self.begun))

    def _number(self) -> int:
        return 1 + -(-self.trials // BLOCK)


def _plus(one: float, other: float) -> float:
    """Return the logarithm of the sum of e to both powers."""
    low, high = sorted((one, other))
    return high + math.log1p(math.exp(low - high))


class Bets:
    """The wealth of bets that the share of a class at a place moved, over sets of classes that are known beforehand.

    Args:
        classes: the classes or bins that are known, for each place of an answer.
        tolerated: a move of so much of the rows.
    """

    def __init__(self, classes: Sequence[Collection[Any]], tolerated: float) -> None:
        self.known = [frozenset([*one, OTHERS]) for one in classes]
        self.rises: Counter[tuple[int, Any]] = Counter()  # pairs in which the canary alone has the class at the place
        self.falls: Counter[tuple[int, Any]] = Counter()  # and those in which stable alone has it
        self.pairs = 0
        stakes = [stake / (1 + tolerated) for stake in STAKES]
        # what a rise, a fall, and a pair without either add to the logarithm of a bet's wealth
        self.gains = [tuple(math.log1p(bet * (move - tolerated)) for move in (1, -1, 0)) for bet in stakes]

    def add(self, canary: Sequence[Any], stable: Sequence[Any]) -> None:
        """Take what a pair was answered with, place by place; one that an answer lacks is as another class."""
        self.pairs += 1
        for place, known in enumerate(self.known):
            one, other = (labels[place] if place < len(labels) else OTHERS for labels in (canary, stable))
            if one != other:
                one, other = (name if name in known else OTHERS for name in (one, other))
            if one != other:
                self.rises[place, one] += 1
                self.falls[place, other] += 1

    def evidence(self) -> float:
        """Return the natural logarithm of the mean wealth."""
        moves = Counter((self.rises[name], self.falls[name]) for name in self.rises.keys() | self.falls.keys())
        if calm := sum(map(len, self.known)) - moves.total():
            moves[0, 0] += calm
        weights = Counter[float]()
        for (rises, falls), names in moves.items():
            for up, down in ((rises, falls), (falls, rises)):
                for rise, fall, neither in self.gains:
                    weights[up * rise + down * fall + (self.pairs - up - down) * neither] += names
        return mean(weights)

    def most(self) -> tuple[int, int]:
        """Return the greatest move of a class, in pairs, and its place."""
        moves = ((abs(self.rises[name] - self.falls[name]), name[0]) for name in self.rises.keys() | self.falls.keys())
        return max(moves, key=lambda move: (move[0], -move[1]), default=(0, 0))


class Failures:
    """Whether more of users' failures are the canary's than its share of their requests."""

    def __init__(self) -> None:
        self.weights = dict.fromkeys(RATIOS, 0.0)

    def add(self, canary: tuple[int, int], stable: tuple[int, int]) -> None:
        """Take requests and failures of both since the last look."""
        share = canary[0] / max(1, canary[0] + stable[0])
        if not 0 < share < 1:
            return  # nothing to compare with
        for ratio in RATIOS:
            more = ratio * share / (ratio * share + 1 - share)
            self.weights[ratio] += canary[1] * math.log(more / share)
            self.weights[ratio] += stable[1] * math.log((1 - more) / (1 - share))

    def evidence(self) -> float:
        """Return the natural logarithm of the mean likelihood ratio."""
        return mean(Counter(self.weights.values()))
