"""One attempt to bring a version into traffic: what it knows, and the four ways in which it ends."""

import logging
import time
from dataclasses import dataclass

from colchis_steps._formats.models import Alias, Golden
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._formats.runs import RolloutReport
from colchis_steps._manifests.route import Traffic
from colchis_steps._models.aliases import move_canary, move_stable
from colchis_steps._models.versions import published
from colchis_steps._rollout.canary import Plan
from colchis_steps._rollout.gateway import Way, move
from colchis_steps._rollout.journal import write
from colchis_steps._rollout.options import READY
from colchis_steps._rollout.versions import Before, Place, held_replicas
from colchis_steps._step.errors import InputError
from colchis_steps._step.polling import wait_until

log = logging.getLogger("colchis")


@dataclass
class Attempt:
    """A version on its way to traffic.

    ``rollout`` is the document that is kept in the store as it goes, ``alias`` what stable or canary becomes, and
    ``report`` what the step reports at its end.
    """

    place: Place
    plan: Plan
    way: Way
    before: Before
    rollout: Rollout
    alias: Alias
    report: RolloutReport
    golden: Golden | None = None

    @property
    def version(self) -> int:
        """The version that is rolled out."""
        return self.alias.version

    @property
    def other(self) -> int | None:
        """The version that is stable beside it, or None."""
        found = self.before.stable
        return found.version if found and found.version != self.version else None


def wait_ready(place: Place, version: int, deadline: float = READY) -> None:
    """Wait until all pods of a version answer. Raises as ``Target.missing``, and TransientError where they are late."""
    what = f"version {version} of {place.model} is not ready"
    wait_until(deadline, lambda: place.target.missing(place.cluster, place.model, version), what)


def promote(place: Place, alias: Alias, way: Way, report: RolloutReport, *, back: bool = False) -> None:
    """Return the version all traffic, then the alias: from there on it is what is served, and nothing is put back."""
    began = time.monotonic()
    move(place.cluster, place.target, place.model, Traffic({alias.version: 100}), way)
    report.seconds_to_move = round(time.monotonic() - began, 3)
    report.previous = move_stable(place.store, alias, back=back)
    report.endpoint, report.stable = alias.endpoint, alias.version


def settle(place: Place, alias: Alias, report: RolloutReport) -> RolloutReport:
    """Let the other versions rest, or go."""
    place.awake(alias.version)
    place.rest({alias.version}, report.previous)
    return report


def refuse(attempt: Attempt, why: str) -> RolloutReport:
    """Go back, once the no is written down, so that a rollout that is killed here goes on with it."""
    place, report, stable = attempt.place, attempt.report, attempt.before.stable
    began = time.monotonic()
    write(place.store, attempt.rollout, "fail", why)
    attempt.before.put_back(place)
    if stable:
        report.endpoint, report.stable = stable.endpoint, stable.version
    report.seconds_to_move = round(time.monotonic() - began, 3)
    report.verdict, report.reason, report.steps = "fail", why, attempt.rollout.steps
    log.warning("version %d of %s is refused: %s", attempt.version, place.model, why)
    return report


def share_out(attempt: Attempt, split: dict[int, int]) -> RolloutReport:
    """Share traffic out by ``split`` and leave it so: people compare the versions until one is promoted.

    Raises:
        InputError: one of the versions is not kept in the cluster, or must not be served.
    """
    place, plan, alias, report = attempt.place, attempt.plan, attempt.alias, attempt.report
    for version in split.keys() - {alias.version}:
        found = place.found(version)
        if found is None:
            where = f"namespace {place.cluster.namespace}"
            raise InputError(f"version {version} of {place.model} is not kept in {where}; roll it out first")
        published(place.store, place.model, version, back=True)
        if not place.target.replicas(found):
            place.wake(version, held_replicas(place.target, found))
    for version in split:
        wait_ready(place, version)
    began = time.monotonic()
    alias.weight = split[alias.version]
    move_canary(place.store, alias)
    mirror = alias.version if plan.mirror else None
    stable, testers = attempt.rollout.stable, plan.testers
    traffic = Traffic(split, plan.headers, plan.sticky, mirror, stable=stable, testers=testers)
    move(place.cluster, place.target, place.model, traffic, attempt.way)
    write(place.store, attempt.rollout, "pass")
    report.seconds_to_move = round(time.monotonic() - began, 3)
    report.endpoint, report.stable, report.weights = alias.endpoint, stable, _named(split)
    return report


def wait_for_approval(attempt: Attempt) -> RolloutReport:
    """Leave the canary where it is until somebody promotes it or goes back."""
    plan, report, stable = attempt.plan, attempt.report, attempt.rollout.stable
    write(attempt.place.store, attempt.rollout)
    if stable is not None:
        weight = plan.steps[-1] if plan.steps else 0
        report.weights = _named({stable: 100 - weight, attempt.version: weight})
        report.endpoint = attempt.alias.endpoint
    report.stable, report.waiting, report.steps = stable, True, attempt.rollout.steps
    return report


def _named(weights: dict[int, int]) -> dict[str, int]:
    return {str(version): weight for version, weight in weights.items()}
