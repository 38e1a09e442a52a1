"""Rollout on a cluster: pods of the new version, questions, the route by steps, the alias; then the old ones rest.

Each write is one server-side apply or patch and each part looks at what is there first, so a rollout that died at any
line is made good by running it again. One that fails, or is refused, leaves what was served before. Only objects with
Colchis's labels and this model's name are written or removed. How pods are described is the target's.
"""

import logging
import os
import time
from dataclasses import dataclass, field

import msgspec

from colchis_steps._formats.documents import now
from colchis_steps._formats.keys import alias_key, golden_key
from colchis_steps._formats.models import Alias, Golden
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._formats.runs import RolloutReport
from colchis_steps._kube.cluster import wait_until
from colchis_steps._manifests.deployment import Deployed
from colchis_steps._manifests.route import Traffic, routed
from colchis_steps._manifests.runtime import runtime_of
from colchis_steps._manifests.serve_options import ServeOptions, check_replicas
from colchis_steps._models.aliases import move_canary, move_stable, stable
from colchis_steps._models.versions import check_image, published
from colchis_steps._rollout.canary import Plan, shift
from colchis_steps._rollout.checks import check, check_release
from colchis_steps._rollout.gateway import Way, check_mirror, move
from colchis_steps._rollout.golden import skew
from colchis_steps._rollout.journal import begun, described, write
from colchis_steps._rollout.preheating import preheat
from colchis_steps._rollout.versions import Before, Place, held_replicas, restored
from colchis_steps._serving.client import Away
from colchis_steps._serving.config import Config, ServedModel
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import find_document

LISTENING = 15.0  # seconds until a Service that is new leads to its pods
READY = 600.0  # seconds for the pods to be ready
log = logging.getLogger("colchis")


@dataclass(frozen=True)
class Options:
    """How a version is served."""

    serve_image: str = ""
    volume: str = "image"
    gateway: str = ""  # namespace/name
    gateway_url: str = ""
    insecure: bool = False
    runtime: str = "embedded"
    preheat: bool = False
    pods: ServeOptions = field(default_factory=ServeOptions)
    deadline: float = READY


def roll_out(place: Place, run: str, *, version: int, image: str, options: Options, plan: Plan) -> RolloutReport:
    """Serve the version beside the stable one by the plan, and make it the stable one where it is as good.

    The report's verdict is "fail" where the version answers otherwise than it was judged by, or is worse than the
    stable one: what was served before is served then, and nothing is left of the version.

    Raises:
        InputError: it is not published, the image is another one or not to be had, the pods end or do not load the
            model, an object of that name is not ours, the gateway does not take the route, or a right is missing.
        TransientError: the pods or the gateway are late, or the cluster or the store is away.
    """
    model, store = place.model, place.store
    manifest, record = published(store, model, version)
    check_image(record, image)
    if not options.serve_image:
        raise InputError("no image of the model server is named; give --serve-image=REGISTRY/serve:TAG")
    if options.runtime == "tensorflow-serving":
        check_release(record, options.serve_image)
    way = Way.of(options.gateway, options.gateway_url)
    before = Before.of(place, version)
    other = before.stable if before.stable and before.stable.version != version else None
    shared = set(plan.split or {version, *([other.version] if other else [])})
    if astray := {header.version for header in plan.headers} - shared:
        raise InputError(f"a header leads to version {min(astray)}, which gets no traffic; give it a share in --split")
    told = begun(store, model, version, run, other.version if other else None)
    report = RolloutReport(place.target.NAME, options.runtime, "", None, None, 0.0, 0.0, place.cluster.namespace)
    if told.verdict == "pass" and other:  # it was promoted, and taken back since
        told = Rollout(model, version, run, other.version, now())
    if told.verdict == "fail":  # and it was killed while it went back
        return _refused(place, before, told, told.reason, report)
    deployed = Deployed(
        model=model,
        version=version,
        run=record.run,
        image=image,
        serve_image=options.serve_image,
        replicas=options.pods.replicas or place.replicas(),
        volume=options.volume,
        insecure=options.insecure,
        runtime=options.runtime,
        store=store.url,
        options=options.pods,
    )
    check_replicas(options.pods, deployed.replicas)
    served = ServedModel({version: described(deployed.path, manifest, record)}, version)
    golden = find_document(store, golden_key(manifest.run), Golden)
    alias = Alias(model, version, now(), None, run, image, f"{way.url}/v1/models/{model}")
    with restored(place, before):
        report.preheating = preheat(place.cluster, deployed) if options.preheat else None
        began = time.monotonic()
        place.target.apply(place.cluster, deployed, msgspec.json.encode(Config({model: served})).decode())
        place.wake(version)
        _ready(place, version, options.deadline)
        report.seconds_to_ready = round(time.monotonic() - began, 3)
        url = _ask(place, version)
        if plan.mirror:
            check_mirror(place.cluster, place.target, model, version, way)
        if not url and other and version not in routed(before.route):  # from outside the cluster
            move(place.cluster, place.target, model, Traffic({other.version: 100, version: 0}), way)
        if golden and (url or other) and (why := skew(golden, url or way.url, model, version)):
            return _refused(place, before, told, why, report)
        if plan.split:
            return _shared_out(place, plan, told, alias, way=way, report=report)
        if other and plan.steps and (why := shift(place, plan, told, alias, way=way, golden=golden)):
            return _refused(place, before, told, why, report)
        if plan.approval:
            return _waiting(place, plan, told, alias, report)
        _promote(place, alias, way, report)
    report.steps = told.steps
    write(store, told, "pass")
    return _settled(place, alias, report)


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
    goal = alias.version if withdrawn not in {None, alias.version} else (to or alias.previous)
    others = {v: found for v, found in place.versions().items() if v != alias.version}
    if goal is None and any(place.target.replicas(found) for found in others.values()):
        goal = alias.version  # a rollback that was killed after it moved the alias
    if goal is None:
        raise InputError(
            f"nothing was served before version {alias.version} of {model}; "
            f"name the version: colchis models rollback {model} --to N"
        )
    _, record = published(place.store, model, goal)
    before = Before.of(place, goal)
    if before.object is None:
        raise InputError(
            f"version {goal} of {model} is not kept in namespace {place.cluster.namespace} any more; roll it out: "
            f"colchis rollout --target={place.target.NAME} --model={model} --version={goal} --image={record.image} …"
        )
    way = Way.there(place.cluster, model, alias)
    runtime = runtime_of(before.object)
    report = RolloutReport(place.target.NAME, runtime, "", None, None, 0.0, 0.0, place.cluster.namespace)
    with restored(place, before):
        began = time.monotonic()
        place.wake(goal, held_replicas(place.target, before.object))
        _ready(place, goal, READY)
        _ask(place, goal)
        report.seconds_to_ready = round(time.monotonic() - began, 3)
        wanted = Alias(model, goal, now(), None, run, record.image, f"{way.url}/v1/models/{model}")
        _promote(place, wanted, way, report, back=goal != alias.version)
    return _settled(place, wanted, report)


def _promote(place: Place, alias: Alias, way: Way, report: RolloutReport, *, back: bool = False) -> None:
    """Give the version all traffic, then the alias: from there on it is what is served, and nothing is put back."""
    began = time.monotonic()
    move(place.cluster, place.target, place.model, Traffic({alias.version: 100}), way)
    report.seconds_to_move = round(time.monotonic() - began, 3)
    report.previous = move_stable(place.store, alias, back=back)
    report.endpoint, report.stable = alias.endpoint, alias.version


def _settled(place: Place, alias: Alias, report: RolloutReport) -> RolloutReport:
    """Let the other versions rest, or go."""
    place.awake(alias.version)
    place.rest({alias.version}, report.previous)
    return report


def _refused(place: Place, before: Before, told: Rollout, why: str, report: RolloutReport) -> RolloutReport:
    """Go back, once the no is written down, so that a rollout that is killed here goes on with it."""
    began = time.monotonic()
    write(place.store, told, "fail", why)
    before.put_back(place)
    if before.stable:
        report.endpoint, report.stable = before.stable.endpoint, before.stable.version
    report.seconds_to_move = round(time.monotonic() - began, 3)
    report.verdict, report.reason, report.steps = "fail", why, told.steps
    log.warning("version %d of %s is refused: %s", told.version, place.model, why)
    return report


def _shared_out(
    place: Place, plan: Plan, told: Rollout, alias: Alias, *, way: Way, report: RolloutReport
) -> RolloutReport:
    """Share traffic out as the plan says, and leave it so: people compare the versions until one is promoted."""
    assert plan.split  # noqa: S101 - see roll_out
    for version in plan.split.keys() - {alias.version}:
        found = place.found(version)
        if found is None:
            where = f"namespace {place.cluster.namespace}"
            raise InputError(f"version {version} of {place.model} is not kept in {where}; roll it out first")
        if not place.target.replicas(found):
            place.wake(version, held_replicas(place.target, found))
    for version in plan.split:
        _ready(place, version, READY)
    began = time.monotonic()
    alias.weight = plan.split[alias.version]
    move_canary(place.store, alias)
    mirror = alias.version if plan.mirror else None
    move(place.cluster, place.target, place.model, Traffic(plan.split, plan.headers, plan.sticky, mirror), way)
    write(place.store, told, "pass")
    report.seconds_to_move = round(time.monotonic() - began, 3)
    report.endpoint, report.stable, report.weights = alias.endpoint, told.stable, _named(plan.split)
    return report


def _waiting(place: Place, plan: Plan, told: Rollout, alias: Alias, report: RolloutReport) -> RolloutReport:
    """Leave the canary where it is until somebody promotes it or goes back."""
    write(place.store, told)
    weight = plan.steps[-1] if told.stable is not None and plan.steps else 0
    report.weights = _named({told.stable: 100 - weight, alias.version: weight}) if told.stable is not None else {}
    report.endpoint, report.stable = alias.endpoint if told.stable is not None else "", told.stable
    report.waiting, report.steps = True, told.steps
    return report


def _named(weights: dict[int, int]) -> dict[str, int]:
    return {str(version): weight for version, weight in weights.items()}


def _withdraw(place: Place, run: str, canary: Alias) -> RolloutReport:
    """Take a canary away: all traffic is stable's again."""
    began = time.monotonic()
    before = Before.of(place, canary.version)
    before.put_back(place)
    if before.stable:
        place.rest({before.stable.version}, before.stable.previous)
    told = begun(place.store, place.model, canary.version, run, before.stable.version if before.stable else None)
    write(place.store, told, "fail", f"version {canary.version} was withdrawn")
    log.info("version %d of %s was a canary and is withdrawn", canary.version, place.model)
    endpoint, number = (before.stable.endpoint, before.stable.version) if before.stable else ("", None)
    took, where = round(time.monotonic() - began, 3), place.cluster.namespace
    runtime = runtime_of(place.found(number) if number is not None else None)
    return RolloutReport(place.target.NAME, runtime, endpoint, None, number, 0.0, took, where, steps=told.steps)


def _ready(place: Place, version: int, deadline: float) -> None:
    what = f"version {version} of {place.model} is not ready"
    wait_until(deadline, lambda: place.target.missing(place.cluster, place.model, version), what)


def _ask(place: Place, version: int) -> str:
    """Ask the version once, by its Service, and give that address; "" outside the cluster: the gateway has to do."""
    deadline = time.monotonic() + (LISTENING if os.environ.get("KUBERNETES_SERVICE_HOST") else 3)
    name, port = place.target.backend(place.model, version)
    url = f"http://{name}.{place.cluster.namespace}.svc:{port}"
    while True:
        try:
            check(url, place.model, version)
        except Away as error:
            if time.monotonic() > deadline:
                if os.environ.get("KUBERNETES_SERVICE_HOST"):
                    raise
                log.info("not asked directly, only through the gateway: %s", error)
                return ""
            time.sleep(0.3)
        else:
            return url
