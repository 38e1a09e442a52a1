"""Rollout on a cluster: pods of the new version, questions, the route by steps, the alias; then the old ones rest.

Each write is one server-side apply or patch and each part looks at what is there first, so a rollout that died at any
line is made good by running it again. One that fails, or is refused, leaves what was served before. Only objects with
Colchis's labels and this model's name are written or removed. How pods are described is the target's.
"""

import logging
import os
import time

from colchis_steps._formats.documents import now
from colchis_steps._formats.models import Alias
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._formats.runs import RolloutReport
from colchis_steps._manifests.deployment import Deployed
from colchis_steps._manifests.route import KEY, Traffic, key_of, routed
from colchis_steps._models.binding import golden_of
from colchis_steps._rollout.attempt import Attempt, promote, refuse, settle, share_out, wait_for_approval, wait_ready
from colchis_steps._rollout.canary import Plan, shift
from colchis_steps._rollout.checks import check_answers
from colchis_steps._rollout.gateway import Way, check_mirror, move
from colchis_steps._rollout.golden import skew
from colchis_steps._rollout.journal import begun, write
from colchis_steps._rollout.options import Options, deployed_as, servable, server_config
from colchis_steps._rollout.preheating import preheat
from colchis_steps._rollout.versions import Before, Place, restored
from colchis_steps._serving.client import Away
from colchis_steps._step.errors import InputError
from colchis_steps._step.polling import poll

LISTENING = 15.0  # seconds until a Service that is new leads to its pods
OUTSIDE = 3.0  # seconds after which an address of the cluster is taken for one that is not to be had from here
log = logging.getLogger("colchis")


def roll_out(place: Place, run: str, *, version: int, image: str, options: Options, plan: Plan) -> RolloutReport:
    """Serve the version beside the stable one by the plan, and make it the stable one where it is as good.

    The report's verdict is "fail" where the version answers otherwise than it was judged by, or is worse than the
    stable one: what was served before is served then, and nothing is left of the version.

    Raises:
        InputError: it must not be served, the image is another one or not to be had, the pods end or do not load the
            model, an object of that name is not ours, the gateway does not take the route, or a right is missing.
        TransientError: the pods or the gateway are late, or the cluster or the store is away.
    """
    manifest, record = servable(place.store, place.model, version, image, options)
    way = Way.of(options.gateway, options.gateway_url)
    attempt = _begun(place, run, plan, way, version=version, image=image, runtime=options.runtime)
    if attempt.rollout.verdict == "fail":  # it was killed while it went back
        return refuse(attempt, attempt.rollout.reason)
    deployed = deployed_as(place.store, (manifest, record), image, options, place.replicas())
    config = server_config(deployed, manifest, record)
    attempt.golden = golden_of(place.store, record)
    with restored(place, attempt.before):
        _start(attempt, deployed, config, options)
        if ended := _tried(attempt):
            return ended
        promote(place, attempt.alias, way, attempt.report)
    attempt.report.steps = attempt.rollout.steps
    write(place.store, attempt.rollout, "pass")
    return settle(place, attempt.alias, attempt.report)


def _begun(place: Place, run: str, plan: Plan, way: Way, *, version: int, image: str, runtime: str) -> Attempt:
    """Return the attempt as an earlier start of the run left it, or a new one. Raises InputError for astray headers."""
    before = Before.of(place, version)
    other = before.stable.version if before.stable and before.stable.version != version else None
    shared = set(plan.split or {version, *([other] if other else [])})
    if astray := {header.version for header in plan.headers} - shared:
        raise InputError(f"a header leads to version {min(astray)}, which gets no traffic; give it a share in --split")
    rollout = begun(place.store, place.model, version, run, other)
    if rollout.verdict == "pass" and other:  # it was promoted, and taken back since
        rollout = Rollout(place.model, version, run, other, now())
    alias = Alias(place.model, version, now(), None, run, image, f"{way.url}/v1/models/{place.model}")
    report = RolloutReport(place.target.NAME, runtime, "", None, None, 0.0, 0.0, place.cluster.namespace)
    return Attempt(place, plan, way, before, rollout, alias, report)


def _start(attempt: Attempt, deployed: Deployed, config: str, options: Options) -> None:
    """Bring the version's pods up and wait until they answer."""
    place, report = attempt.place, attempt.report
    report.preheating = preheat(place.cluster, deployed) if options.preheat else None
    began = time.monotonic()
    place.target.apply(place.cluster, deployed, config)
    place.wake(deployed.version)
    wait_ready(place, deployed.version, options.deadline)
    report.seconds_to_ready = round(time.monotonic() - began, 3)


def _tried(attempt: Attempt) -> RolloutReport | None:
    """Ask and judge the version; return the report where that ends the attempt, or None where it is to be promoted."""
    place, plan, way, version = attempt.place, attempt.plan, attempt.way, attempt.version
    url = ask_directly(place, version)
    if plan.mirror:
        check_mirror(place.cluster, place.target, place.model, version, way)
    key = key_of(attempt.before.route)
    if not url and attempt.other and version not in routed(attempt.before.route):  # from outside the cluster
        shadow = Traffic({attempt.other: 100, version: 0}, stable=attempt.other)
        key = move(place.cluster, place.target, place.model, shadow, way)
    reachable, headers = url or (way.url if attempt.other else ""), {KEY: key} if key else {}
    if attempt.golden and reachable and (why := skew(attempt.golden, reachable, place.model, version, headers)):
        return refuse(attempt, why)
    if plan.split:
        return share_out(attempt, plan.split)
    if attempt.other and plan.steps:
        why = shift(place, plan, attempt.rollout, attempt.alias, way=way, golden=attempt.golden)
        if why:
            return refuse(attempt, why)
    return wait_for_approval(attempt) if plan.approval else None


def ask_directly(place: Place, version: int) -> str:
    """Ask the version once, by its Service, and return that address; "" outside the cluster: the gateway has to do.

    Raises:
        InputError: it answers with an error.
        Away: nothing answers, in a pod, where the Service's address is known.
    """
    within = bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    name, port = place.target.backend(place.model, version)
    url = f"http://{name}.{place.cluster.namespace}.svc:{port}"
    silence: list[Away] = []

    def asked() -> bool | None:
        try:
            check_answers(url, place.model, version)
        except Away as error:
            silence[:] = [error]
            return None
        return True

    if poll(asked, LISTENING if within else OUTSIDE, interval=0.3):
        return url
    if within:
        raise silence[0]
    log.info("not asked directly, only through the gateway: %s", silence[0])
    return ""
