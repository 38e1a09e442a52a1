"""A canary on a cluster: traffic by steps, each judged; what it shows is written down as it goes.

The gateway is asked for both versions by their own paths, so a verdict needs no user's request. Each look at the pods,
the canary's own metrics and its alias is a second after the last one: a pod that ends for good, users' requests that
fail, and an operator's rollback end the step at once.
"""

import contextlib
import logging
import time
from dataclasses import dataclass

from colchis_steps._formats.keys import alias_key
from colchis_steps._formats.models import Alias, Golden
from colchis_steps._formats.rollouts import JudgedStep, Rollout
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
    passed = {step.weight for step in rollout.steps if step.verdict == "pass"}
    prober: Prober | None = None
    for number, weight in enumerate(plan.steps):
        progress(number, len(plan.steps) + 1)
        if weight in passed:
            continue
        canary.weight = weight
        move_canary(place.store, canary)
        mirror = version if plan.mirror else None
        weights = {stable: 100 - weight, version: weight}
        labels = {"stable": stable, "canary": version}
        traffic = Traffic(weights, plan.headers, plan.sticky, mirror, labels)
        move(place.cluster, place.target, place.model, traffic, way)
        log.info("version %d of %s has %d %% of the traffic, beside version %d", version, place.model, weight, stable)
        prober = prober or Prober(way.url, place.model, golden, version, sampled_rows(place.store, place.model, stable))
        step = judged(place, plan, rollout, weight, prober)
        rollout.steps = (*rollout.steps, step)
        write(place.store, rollout)
        log.info("at %d %%: %s, %s", weight, step.verdict, step.reason or counts_of(step))
        if step.verdict != "pass":
            return f"at {weight} % of the traffic: {step.reason}"
    return ""


def judged(place: Place, plan: Plan, rollout: Rollout, weight: int, prober: Prober) -> JudgedStep:
    """Ask canary and stable until the verdict is there, at least for the plan's seconds; a time-out is a no."""
    judge = Judge(plan.tolerances, len(plan.steps), prober.classes)
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
        if verdict == "fail" or (verdict == "pass" and passed >= plan.seconds):
            why = stop or (_judge.reason(findings) if verdict == "fail" else "")
            why += f" ({judge.last_error})" if verdict == "fail" and judge.last_error and not stop else ""
            return JudgedStep(weight, round(passed, 3), verdict, why, findings)
        if passed > plan.deadline:
            why = f"no verdict after {plan.deadline:.0f} s ({_judge.reason(findings)}"
            why += f"; {judge.unanswered} rows that stable did not answer" if judge.unanswered else ""
            return JudgedStep(weight, round(passed, 3), "fail", f"{why})", findings)
        time.sleep(PACE)


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
