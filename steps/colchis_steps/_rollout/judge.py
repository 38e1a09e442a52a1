"""Whether a canary is as good as the stable version, from pairs of answers to the same question. Pure.

Each measure is an event that a pair has or has not, and a sequential probability ratio test (Wald, Sequential Tests of
Statistical Hypotheses, 1945) of "it is as frequent as is tolerated" against "as frequent as is unbearable". The
likelihood ratio and its inverse are supermartingales, so by Ville's inequality, whenever one looks:

- a canary within what is tolerated is ever rejected with a probability of at most FALSE_ALARM, over all measures and
  steps together (a measure at a step has its share: Bonferroni);
- a canary whose measure is unbearable passes a step with a probability of at most MISS.

A canary may turn bad in the middle of a step, so the ratio begins anew again and again (``Trials``).

Latencies are compared by sign: that canary's answer took longer than ``latency`` times stable's to the same question,
which happens in at most half of the pairs where the canary is no slower than that, whatever the distribution.

Failures of users' requests are watched, too. Anybody can make requests that fail, so they speak against the canary only
where it fails more often than is tolerated and also more often than stable does at the same time: of the failures of
both, given how many there are, each is the canary's with its share of the requests, however they were made. Against
that are held RATIOS of its odds. Both must be improbable, so the bound on false alarms holds for either.

The distribution of classes is watched, too, by betting (Waudby-Smith and Ramdas, Estimating means of bounded random
variables by betting, 2024): for each class, either direction and some stakes, the wealth of a bet that its share moved
by more than is tolerated. Their mean is again a supermartingale, so the same bound holds; it has no accepting side.

An answer of many numbers has a place for each (``labels``), and a test of disagreement and bets at each. What speaks
against the canary is the mean of their likelihood ratios, which holds the bound however the places depend on each other
(Vovk and Wang, E-values: calibration, combination and applications, 2021), and never exceeds the greatest of them; for
it speaks only what is good at each place.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from colchis_steps._formats.rollouts import Finding
from colchis_steps._rollout.evidence import Bets, Failures, Trials, evidence
from colchis_steps._step.errors import InputError

FALSE_ALARM = 0.01  # of a whole rollout
MEASURES = 5  # which share it
MISS = 0.01  # of a measure at a step
WORSE = {"errors": 0.09, "served": 0.09, "disagreement": 0.2}  # unbearable is so much above tolerated
SLOWER = (0.5, 0.75)  # shares of pairs in which the canary is slower
WATCHED = {"served", "distribution"}  # they can reject; a step may pass without them


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
    """What came back for a row: seconds that it took and its class, or bins of its numbers; else why it is none."""

    ok: bool
    seconds: float = 0.0
    labels: tuple[Any, ...] = ()  # what stands at its places, see ``labels``
    error: str = ""


class Judge:
    """What one step has shown so far.

    Args:
        given: what is tolerated.
        steps: how many steps the rollout has, which share the false alarms.
        classes: the classes or bins that answers may have, for each of their places.
    """

    def __init__(self, given: Tolerances, steps: int, classes: Sequence[Collection[Any]] = ()) -> None:
        self.given = given
        classes = classes or [()]
        self.measures = {
            "errors": Trials(given.errors, given.errors + WORSE["errors"]),
            "latency": Trials(*SLOWER),
            "disagreement": Trials(given.disagreement, given.disagreement + WORSE["disagreement"], len(classes)),
        }
        self.requests, self.failed = 0, 0  # of users
        self.failures = Failures()
        self.bets = Bets(classes, given.distribution)
        self.alarm = -math.log(FALSE_ALARM / MEASURES / steps)
        self.unanswered = 0  # pairs that stable did not answer, which say nothing of the canary
        self.last_error = ""

    def pair(self, canary: Answer, stable: Answer) -> None:
        """Take both answers to a row."""
        if not stable.ok:
            self.unanswered += 1
            return
        self.measures["errors"].add([not canary.ok])
        if not canary.ok:
            self.last_error = canary.error
            return
        self.measures["latency"].add([canary.seconds > self.given.latency * stable.seconds])
        self.measures["disagreement"].add(differences(canary.labels, stable.labels, len(self.bets.known)))
        self.bets.add(canary.labels, stable.labels)

    def served(self, canary: tuple[int, int], stable: tuple[int, int]) -> None:
        """Take what both count of users' requests since the last look: all, and those answered by 5xx."""
        self.requests += canary[0]
        self.failed += canary[1]
        self.failures.add(canary, stable)

    def findings(self) -> tuple[Finding, ...]:
        """Return each measure with what it shows: good, bad or open.

        One is good where its trials speak for it and none of their beginnings speaks against it by now.
        """
        found = []
        for name, trials in self.measures.items():
            plain, against = trials.plain(), trials.against()
            good = plain <= math.log(MISS) and against <= 0
            weight = plain if good else against
            place = trials.most()
            found.append(self._finding(name, trials.events[place], trials.trials, weight, place, good=good))
        weight = evidence(self.failed, self.requests, self.given.errors, self.given.errors + WORSE["served"])
        weight = min(weight, self.failures.evidence())
        found.append(self._finding("served", self.failed, self.requests, weight, good=weight <= math.log(MISS)))
        moves, place = self.bets.most()
        found.append(self._finding("distribution", moves, self.bets.pairs, self.bets.evidence(), place))
        return tuple(found)

    def _finding(
        self, name: str, events: int, trials: int, weight: float, place: int = 0, *, good: bool = False
    ) -> Finding:
        state = "bad" if weight >= self.alarm else "good" if good else "open"
        places = len(self.bets.known)
        where = f" at place {place + 1} of {places}" if places > 1 else ""
        told = {
            "errors": f"fail where stable answers; {self.given.errors:.0%} is tolerated",
            "latency": f"took more than {self.given.latency:g} times stable's; half is tolerated",
            "disagreement": f"answered otherwise than stable{where}; {self.given.disagreement:.0%} is tolerated",
            "served": f"of users' requests failed, more than of stable's; {self.given.errors:.0%} is tolerated",
            "distribution": f"more or fewer of one class{where}; {self.given.distribution:.0%} is tolerated",
        }
        return Finding(name, events, trials, told[name], round(weight, 3), state)


def differences(canary: Sequence[Any], stable: Sequence[Any], places: int) -> list[bool]:
    """Return at which places two answers differ; those of two lengths do so at each."""
    if len(canary) != len(stable):
        return [True] * places
    return [canary[place : place + 1] != stable[place : place + 1] for place in range(places)]


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
