"""A canary on a cluster: traffic by steps, each judged; what it shows is written down as it goes.

The gateway is asked for both versions by their own paths, so a verdict needs no user's request. Each look at the pods,
the canary's own metrics and its alias is a second after the last one: a pod that ends for good, users' requests that
fail, and an operator's rollback end the step at once.

What a bad canary costs is its share times the seconds of a verdict and of the gateway that follows it, and a gateway
takes as long as a verdict. So the first share is a taste, in which all measures are judged as in any step: what goes
wrong as soon as users reach it has reached few.
"""

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from colchis_steps._formats.keys import alias_key
from colchis_steps._formats.models import Alias, Golden
from colchis_steps._formats.rollouts import Finding, JudgedStep, Rollout
from colchis_steps._manifests.route import HeaderRoute, Traffic
from colchis_steps._models.aliases import move_canary
from colchis_steps._rollout import judge as _judge
from colchis_steps._rollout.gateway import Way, move
from colchis_steps._rollout.journal import write
from colchis_steps._rollout.judge import Judge, Tolerances
from colchis_steps._rollout.probes import Prober, sampled_rows, served, since
from colchis_steps._rollout.versions import Place
from colchis_steps._serving.client import Away, text
from colchis_steps._step.errors import InputError
from colchis_steps._step.progress import progress
from colchis_steps._store.documents import find_document

PACE = 0.02  # seconds between pairs, so that the questions take little of what users have
GLANCE = 5.0  # seconds of questions, at most, before users reach the canary
TASTE = 2  # per cent of the traffic, before a first share that is greater
SIP = 10.0  # seconds of the taste, at least, where a step takes as long
LOOK = 1.0  # seconds between looks at pods, metrics and alias
log = logging.getLogger("colchis")


@dataclass(frozen=True)
class Plan:
    """How a version comes to all traffic, or to a share of it.

    ``steps`` are per cent below 100, rising; without any, and without a ``split``, it gets all at once.
    """

    steps: tuple[int, ...] = ()
    split: dict[int, int] | None = None  # per cent by version, to stay so
    headers: tuple[HeaderRoute, ...] = ()
    sticky: str = ""
    mirror: bool = False
    testers: bool = False  # requests may name the canary
    approval: bool = False  # someone has to say yes before the version is promoted
    tolerances: Tolerances = Tolerances()  # noqa: RUF009 - frozen
    seconds: float = 30.0  # that a step takes at least
    deadline: float = 600.0  # for a step's verdict


def shift(place: Place, plan: Plan, rollout: Rollout, canary: Alias, *, way: Way, golden: Golden | None) -> str:
    """Move traffic to the canary by the plan's steps; return why it must not go on, "" where it may.

    Raises:
        StepError: the gateway does not follow, or cluster or store are away.
    """
    stable, version = rollout.stable, rollout.version
    assert stable is not None, "a first model has nothing to be judged by"  # noqa: S101
    passed = max((step.weight for step in rollout.steps if step.verdict == "pass"), default=-1)
    weights = shares(plan.steps)
    prober: Prober | None = None

    def lead(weight: int) -> Prober:
        """Write the canary's weight; return who asks both versions, by the key that leads to them now."""
        mirror = version if plan.mirror else None
        labels = {"stable": stable, "canary": version}
        split = {stable: 100 - weight, version: weight}
        traffic = Traffic(split, plan.headers, plan.sticky, mirror, labels, stable, plan.testers)
        key = move(place.cluster, place.target, place.model, traffic, way)
        log.info("version %d of %s has %d %% of the traffic, beside version %d", version, place.model, weight, stable)
        if prober is None:
            sampled = sampled_rows(place.store, place.model, stable)
            return Prober(way.url, place.model, golden, version, sampled, key=key)
        prober.key = key
        return prober

    for number, weight in enumerate(weights):
        progress(number, len(weights) + 1)
        if weight <= passed:
            continue
        canary.weight = weight
        move_canary(place.store, canary)
        step = None
        if weight and not rollout.steps:
            step = glance(plan, prober := lead(0), version, stable)
        step = step or judged(place, plan, rollout, weight, prober=(prober := lead(weight)))
        rollout.steps = (*rollout.steps, step)
        write(place.store, rollout)
        log.info("at %d %%: %s, %s", step.weight, step.verdict, step.reason or counts_of(step))
        if step.verdict != "pass":
            return f"at {step.weight} % of the traffic: {step.reason}"
    return ""


def shares(steps: Sequence[int]) -> tuple[int, ...]:
    """Return the shares of a plan, per cent and rising, with a taste before the first that users get."""
    first = next((weight for weight in steps if weight), 0)
    return tuple(sorted({*steps, TASTE})) if first > TASTE else tuple(steps)


def least(plan: Plan, weight: int) -> float:
    """Return how many seconds a share takes at least."""
    return plan.seconds if weight in plan.steps else min(SIP, plan.seconds)


def glance(plan: Plan, prober: Prober, version: int, stable: int) -> JudgedStep | None:
    """Ask both versions some rows before users reach the canary; return the step where none is to reach it."""
    judge, began = new_judge(plan, prober), time.monotonic()
    while (passed := time.monotonic() - began) < GLANCE:
        judge.pair(*prober.pair(version, stable))
        if said := _judge.verdict(findings := judge.findings()):
            found = JudgedStep(0, round(passed, 3), said, why_not(judge, findings), findings)
            return found if said == "fail" else None
        time.sleep(PACE)
    return None


def new_judge(plan: Plan, prober: Prober) -> Judge:
    """Return who judges a step; the glance before the first is one more, so that all share the false alarms."""
    return Judge(plan.tolerances, len(shares(plan.steps)) + 1, prober.labels.classes)


def judged(place: Place, plan: Plan, rollout: Rollout, weight: int, *, prober: Prober) -> JudgedStep:
    """Ask canary and stable until the verdict is there, at least for the plan's seconds; a time-out is a no."""
    judge = new_judge(plan, prober)
    began, looked = time.monotonic(), 0.0
    assert rollout.stable is not None  # noqa: S101 - see shift
    versions = (rollout.version, rollout.stable)
    before = {version: counted(place, version) for version in versions}
    while True:
        judge.pair(*prober.pair(rollout.version, rollout.stable))
        passed, stop = time.monotonic() - began, ""
        if passed - looked >= LOOK:
            looked = passed
            after = {version: {**before[version], **counted(place, version)} for version in versions if before[version]}
            judge.served(*(summed(before[version], after.get(version, {})) for version in versions))
            before |= after
            stop = stopped(place, rollout)
        findings = judge.findings()
        verdict = "fail" if stop else _judge.verdict(findings)
        if verdict == "fail" or (verdict == "pass" and passed >= least(plan, weight)):
            why = stop or (why_not(judge, findings) if verdict == "fail" else "")
            return JudgedStep(weight, round(passed, 3), verdict, why, findings)
        if passed > plan.deadline:
            why = f"no verdict after {plan.deadline:.0f} s ({_judge.reason(findings)}"
            why += f"; {judge.unanswered} rows that stable did not answer" if judge.unanswered else ""
            return JudgedStep(weight, round(passed, 3), "fail", f"{why})", findings)
        time.sleep(PACE)


def why_not(judge: Judge, findings: tuple[Finding, ...]) -> str:
    """Return what speaks against the canary, with the last error that it answered."""
    return _judge.reason(findings) + (f" ({judge.last_error})" if judge.last_error else "")


def stopped(place: Place, rollout: Rollout) -> str:
    """Return why the step is over whatever was answered: the pods end, or somebody took the canary away."""
    alias = find_document(place.store, alias_key(place.model, "canary"), Alias)
    if alias is None or alias.version != rollout.version:
        return "it was withdrawn while it was judged"
    try:
        if missing := place.target.missing(place.cluster, place.model, rollout.version):
            log.info("version %d of %s: %s", rollout.version, place.model, missing)
    except InputError as error:
        return str(error)
    return ""


def counted(place: Place, version: int) -> dict[str, tuple[int, int]]:
    """Return each pod's counts of requests and failures; nothing of pods that cannot be asked, as from the outside."""
    found = {}
    for address in place.target.addresses(place.cluster, place.model, version):
        with contextlib.suppress(Away):
            found[address] = served(text(f"http://{address}/metrics", timeout=2), place.model, version)
    return found


def summed(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Return requests and failures of all pods between two looks."""
    found = [since(before.get(address, (0, 0)), counts) for address, counts in after.items()]
    return sum(requests for requests, _ in found), sum(failed for _, failed in found)


def counts_of(step: JudgedStep) -> str:
    """Return what a step has counted, in a few words."""
    return ", ".join(f"{one.name} {one.events}/{one.trials}" for one in step.findings)
