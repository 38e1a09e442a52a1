"""The way back on a cluster: end a canary, or serve the version before the stable one, as it was kept."""

import logging
import time

from colchis_steps._formats.documents import now
from colchis_steps._formats.keys import alias_key
from colchis_steps._formats.models import Alias, Record
from colchis_steps._formats.runs import RolloutReport
from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.runtime import runtime_of
from colchis_steps._models.aliases import stable
from colchis_steps._models.versions import published
from colchis_steps._rollout.attempt import promote, settle, wait_ready
from colchis_steps._rollout.cluster import ask_directly
from colchis_steps._rollout.gateway import Way
from colchis_steps._rollout.journal import begun, write
from colchis_steps._rollout.versions import Before, Place, held_replicas, restored
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import find_document

log = logging.getLogger("colchis")


def roll_back(place: Place, run: str, *, withdrawn: int | None, to: int | None) -> RolloutReport:
    """End a canary, or serve the version before the stable one again, or version ``to``, as it was kept.

    Args:
        place: where the model is served.
        run: the run that asks for it.
        withdrawn: the version to go back from; where another one is stable by now there is nothing left to move.
        to: the version to go to; None is the one that the alias names as the previous.

    Raises:
        InputError: no version is stable, none was before it, or its pods' description is gone.
        TransientError: as ``roll_out``.
    """
    model, alias = place.model, stable(place.store, place.model)
    canary = find_document(place.store, alias_key(model, "canary"), Alias)
    if canary and to is None and withdrawn in {None, canary.version} and (not alias or alias.version != canary.version):
        return _withdraw(place, run, canary)
    if alias is None:
        raise InputError(f"no version of {model} is served, so there is nothing to roll back; see: colchis models list")
    goal = _goal(place, alias, withdrawn, to)
    _, record = published(place.store, model, goal, back=True)
    before = Before.of(place, goal)
    kept = _kept(place, before, record)
    way = Way.there(place.cluster, model, alias)
    report = RolloutReport(place.target.NAME, runtime_of(kept), "", None, None, 0.0, 0.0, place.cluster.namespace)
    with restored(place, before):
        began = time.monotonic()
        place.wake(goal, held_replicas(place.target, kept))
        wait_ready(place, goal)
        ask_directly(place, goal)
        report.seconds_to_ready = round(time.monotonic() - began, 3)
        wanted = Alias(model, goal, now(), None, run, record.image, f"{way.url}/v1/models/{model}")
        promote(place, wanted, way, report, back=goal != alias.version)
    return settle(place, wanted, report)


def _goal(place: Place, alias: Alias, withdrawn: int | None, to: int | None) -> int:
    """Return the version to go to. Raises InputError where there is none."""
    if withdrawn not in {None, alias.version}:
        return alias.version
    if goal := to or alias.previous:
        return goal
    others = [found for version, found in place.versions().items() if version != alias.version]
    if any(place.target.replicas(found) for found in others):
        return alias.version  # a rollback that was killed after it moved the alias
    raise InputError(
        f"nothing was served before version {alias.version} of {place.model}; "
        f"name the version: colchis models rollback {place.model} --to N"
    )


def _kept(place: Place, before: Before, record: Record) -> Object:
    """Return the main object of the version to go to. Raises InputError where it is gone."""
    if before.object is None:
        model, version, where = place.model, before.version, place.cluster.namespace
        raise InputError(
            f"version {version} of {model} is not kept in namespace {where} any more; roll it out: "
            f"colchis rollout --target={place.target.NAME} --model={model} --version={version} --image={record.image} …"
        )
    return before.object


def _withdraw(place: Place, run: str, canary: Alias) -> RolloutReport:
    """Take a canary away: all traffic is stable's again."""
    began = time.monotonic()
    before = Before.of(place, canary.version)
    before.put_back(place)
    serving = before.stable
    if serving:
        place.rest({serving.version}, serving.previous)
    rollout = begun(place.store, place.model, canary.version, run, serving.version if serving else None)
    write(place.store, rollout, "fail", f"version {canary.version} was withdrawn")
    log.info("version %d of %s was a canary and is withdrawn", canary.version, place.model)
    endpoint, number = (serving.endpoint, serving.version) if serving else ("", None)
    took, where = round(time.monotonic() - began, 3), place.cluster.namespace
    runtime = runtime_of(place.found(number) if number is not None else None)
    return RolloutReport(place.target.NAME, runtime, endpoint, None, number, 0.0, took, where, steps=rollout.steps)
