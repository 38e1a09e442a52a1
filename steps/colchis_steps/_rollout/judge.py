"""Whether a canary is as good as the stable version, from pairs of answers to the same question. Pure.

Each measure is an event that a pair has or has not, and a sequential probability ratio test (Wald, Sequential Tests of
Statistical Hypotheses, 1945) of "it is as frequent as is tolerated" against "as frequent as is unbearable". The
likelihood ratio and its inverse are supermartingales, so by Ville's inequality, whenever one looks:

- a canary within what is tolerated is ever rejected with a probability of at most FALSE_ALARM, over all measures and
  steps together (a measure at a step has its share: Bonferroni);
- a canary whose measure is unbearable passes a step with a probability of at most MISS.

Latencies are compared by sign: that canary's answer took longer than ``latency`` times stable's to the same question,
which happens in at most half of the pairs where the canary is no slower than that, whatever the distribution.

Failures of users' requests are watched, too. Anybody can make requests that fail, so they speak against the canary only
where it fails more often than is tolerated and also more often than stable does at the same time: of the failures of
both, given how many there are, each is the canary's with its share of the requests, however they were made. Against
that are held RATIOS of its odds. Both must be improbable, so the bound on false alarms holds for either.

The distribution of classes is watched, too, by betting (Waudby-Smith and Ramdas, Estimating means of bounded random
variables by betting, 2024): for each class, either direction and some stakes, the wealth of a bet that its share moved
by more than is tolerated. Their mean is again a supermartingale, so the same bound holds; it has no accepting side.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from colchis_steps._formats.rollouts import Finding
from colchis_steps._step.errors import InputError

FALSE_ALARM = 0.01  # of a whole rollout
MISS = 0.01  # of a measure at a step
WORSE = {"errors": 0.09, "served": 0.09, "disagreement": 0.2}  # unbearable is so much above tolerated
SLOWER = (0.5, 0.75)  # shares of pairs in which the canary is slower
STAKES = (0.1, 0.3, 0.6)
RATIOS = (3.0, 10.0, 30.0)  # of the odds that a failure is the canary's
WATCHED = {"served", "distribution"}  # they can reject; a step may pass without them
OTHERS = "another"  # stands for each class that was not known before


class Tolerances(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is tolerated: shares of requests or rows, and for ``latency`` a factor over stable's."""

    errors: float = 0.01
    latency: float = 1.5
    disagreement: float = 0.1
    distribution: float = 0.1


def tolerances(text: str) -> Tolerances:
    """Read tolerances such as ``{"errors": 0.01, "latency": 1.5}``; what is left out has its default.

    Raises:
        InputError: it is of another form, or a share is not between 0 and 0.7, or the factor is below 1.
    """
    try:
        found = msgspec.json.decode(text or "{}", type=Tolerances)
    except msgspec.DecodeError as error:
        example = msgspec.json.encode(Tolerances()).decode()
        raise InputError(f"the tolerances {text[:256]!r} are wrong ({error}); give for example {example}") from error
    for name in ("errors", "disagreement", "distribution"):
        if not 0 < (value := getattr(found, name)) <= 0.7:
            raise InputError(f"the tolerance {name} is {value:g}; give a share above 0 and at most 0.7")
    if not 1 <= found.latency < math.inf:
        raise InputError(f"the tolerance latency is {found.latency:g}; give a factor of at least 1")
    return found


@dataclass(frozen=True)
class Answer:
    """What came back for a row: seconds that it took and the class, or the bin of a number; else why it is none."""

    ok: bool
    seconds: float = 0.0
    label: Any = None
    error: str = ""


def evidence(events: float, trials: float, tolerated: float, unbearable: float) -> float:
    """Return the natural logarithm of the likelihood ratio of unbearable to tolerated, for events among trials."""
    calm = math.log1p(-unbearable) - math.log1p(-tolerated)
    return events * math.log(unbearable / tolerated) + (trials - events) * calm


class Bets:
    """The wealth of bets that a class's share moved, over a set of classes that is known beforehand."""

    def __init__(self, classes: Iterable[Any], tolerated: float) -> None:
        self.tolerated = tolerated
        self.wealth = {
            (name, sign, stake): 0.0
            for name in [*dict.fromkeys(classes), OTHERS]
            for sign in (1, -1)
            for stake in (stake / (1 + tolerated) for stake in STAKES)
        }
        self.known = {name for name, *_ in self.wealth}
        self.moved: dict[Any, int] = dict.fromkeys(self.known, 0)
        self.pairs = 0

    def add(self, canary: Any, stable: Any) -> None:
        """Take the classes that a pair was answered with."""
        canary, stable = (name if name in self.known else OTHERS for name in (canary, stable))
        self.pairs += 1
        for name in self.known:
            moved = (name == canary) - (name == stable)
            self.moved[name] += moved
            for sign in (1, -1):
                for stake in STAKES:
                    bet = stake / (1 + self.tolerated)
                    self.wealth[name, sign, bet] += math.log1p(bet * (sign * moved - self.tolerated))

    def evidence(self) -> float:
        """Return the natural logarithm of the mean wealth."""
        most = max(self.wealth.values())
        return most + math.log(sum(math.exp(one - most) for one in self.wealth.values()) / len(self.wealth))

    def most(self) -> int:
        """Return the greatest move of a class, in pairs."""
        return max(map(abs, self.moved.values()))


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
        most = max(self.weights.values())
        return most + math.log(sum(math.exp(one - most) for one in self.weights.values()) / len(self.weights))


class Judge:
    """What one step has shown so far.

    Args:
        given: what is tolerated.
        steps: how many steps the rollout has, which share the false alarms.
        classes: the classes or bins that answers may have.
    """

    def __init__(self, given: Tolerances, steps: int, classes: Iterable[Any] = ()) -> None:
        self.given = given
        self.counts = {name: [0, 0] for name in ("errors", "latency", "disagreement", "served")}
        self.failures = Failures()
        self.bets = Bets(classes, given.distribution)
        self.alarm = -math.log(FALSE_ALARM / (len(self.counts) + 1) / steps)
        self.unanswered = 0  # pairs that stable did not answer, which say nothing of the canary
        self.last_error = ""

    def pair(self, canary: Answer, stable: Answer) -> None:
        """Take both answers to a row."""
        if not stable.ok:
            self.unanswered += 1
            return
        self._count("errors", event=not canary.ok)
        if not canary.ok:
            self.last_error = canary.error
            return
        self._count("latency", event=canary.seconds > self.given.latency * stable.seconds)
        self._count("disagreement", event=canary.label != stable.label)
        self.bets.add(canary.label, stable.label)

    def served(self, canary: tuple[int, int], stable: tuple[int, int]) -> None:
        """Take what both count of users' requests since the last look: all, and those answered by 5xx."""
        requests, failed = canary
        self.counts["served"][0] += failed
        self.counts["served"][1] += requests
        self.failures.add(canary, stable)

    def findings(self) -> tuple[Finding, ...]:
        """Return each measure with what it shows: good, bad or open."""
        found = []
        for name, (events, trials) in self.counts.items():
            tolerated, unbearable = self._bounds(name)
            weight = evidence(events, trials, tolerated, unbearable)
            if name == "served":
                weight = min(weight, self.failures.evidence())
            state = "bad" if weight >= self.alarm else "good" if weight <= math.log(MISS) else "open"
            found.append(Finding(name, events, trials, self._meaning(name), round(weight, 3), state))
        weight = self.bets.evidence()
        state = "bad" if weight >= self.alarm else "open"
        meaning = self._meaning("distribution")
        found.append(Finding("distribution", self.bets.most(), self.bets.pairs, meaning, round(weight, 3), state))
        return tuple(found)

    def _count(self, name: str, *, event: bool) -> None:
        self.counts[name][0] += event
        self.counts[name][1] += 1

    def _bounds(self, name: str) -> tuple[float, float]:
        if name == "latency":
            return SLOWER
        tolerated = getattr(self.given, "errors" if name == "served" else name)
        return tolerated, tolerated + WORSE[name]

    def _meaning(self, name: str) -> str:
        return {
            "errors": f"fail where stable answers; {self.given.errors:.0%} is tolerated",
            "latency": f"took more than {self.given.latency:g} times stable's; half is tolerated",
            "disagreement": f"answered otherwise than stable; {self.given.disagreement:.0%} is tolerated",
            "served": f"of users' requests failed, more than of stable's; {self.given.errors:.0%} is tolerated",
            "distribution": f"more or fewer of one class; {self.given.distribution:.0%} is tolerated",
        }[name]


def verdict(findings: Sequence[Finding]) -> str:
    """Return fail where one measure is bad, pass where all that must be are good, "" while it is open."""
    if any(finding.state == "bad" for finding in findings):
        return "fail"
    return "pass" if all(one.state == "good" for one in findings if one.name not in WATCHED) else ""


def reason(findings: Sequence[Finding]) -> str:
    """Return what speaks against the canary, or what is still open."""
    bad = [one for one in findings if one.state == "bad"]
    reasons = bad or [one for one in findings if one.state == "open" and one.name not in WATCHED]
    return "; ".join(f"{one.name}: {one.events} of {one.trials} {one.meaning}" for one in reasons)
