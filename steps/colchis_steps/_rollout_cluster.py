"""Rollout on a cluster: pods of the new version, a question, the route, the alias; then the old ones rest.

Each write is one server-side apply or patch and each part looks at what is there first, so a rollout that died at any
line is made good by running it again. One that fails leaves what was served before. Only objects with Colchis's labels
and this model's name are written or removed. How pods are described is the target's.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from colchis_steps._deployment import (
    HELD_SINCE,
    LABEL_MODEL,
    LABEL_VERSION,
    REPLICAS,
    Deployed,
    again,
    version_name,
)
from colchis_steps._formats import Alias, now
from colchis_steps._kube import MANAGED, Cluster, Object, wait_until
from colchis_steps._preheat import preheat
from colchis_steps._reports import RolloutReport
from colchis_steps._rollout_checks import check
from colchis_steps._rollout_gateway import Way, move
from colchis_steps._rollout_store import check_image, described, move_stable, published, stable
from colchis_steps._rollout_target import Target
from colchis_steps._route import Traffic, route_name
from colchis_steps._serving_client import Away
from colchis_steps._serving_config import Config, ServedModel
from colchis_steps._serving_options import ServeOptions, check_replicas
from colchis_steps._step import InputError, StepError
from colchis_steps._store import Store
from colchis_steps._tensorflow_serving import check_release

LISTENING = 15.0  # seconds until a Service that is new leads to its pods
log = logging.getLogger("colchis")


@dataclass(frozen=True)
class Options:
    """How a version is served; without ``replicas`` as many pods as the version that it replaces."""

    serve_image: str = ""
    volume: str = "image"
    replicas: int | None = None
    gateway: str = ""  # namespace/name
    gateway_url: str = ""
    insecure: bool = False
    runtime: str = "embedded"
    preheat: bool = False
    pods: ServeOptions = field(default_factory=ServeOptions)
    deadline: float = 600.0  # seconds for the pods to be ready


def roll_out(
    cluster: Cluster, target: Target, store: Store, run: str, model: str, *, version: int, image: str, options: Options
) -> RolloutReport:
    """Serve the version as the model's stable one.

    Raises:
        InputError: it is not published, the image is another one or not to be had, the pods end or do not load the
            model, an object of that name is not ours, the gateway does not take the route, or a right is missing.
        TransientError: the pods or the gateway are late, or the cluster or the store is away.
    """
    manifest, record = published(store, model, version)
    check_image(record, image)
    if not options.serve_image:
        raise InputError("no image of the model server is named; give --serve-image=REGISTRY/serve:TAG")
    if options.runtime == "tensorflow-serving":
        check_release(record, options.serve_image)
    way = Way.of(options.gateway, options.gateway_url)
    before = cluster.own(target.KIND, version_name(model, version), {LABEL_MODEL: model})
    replicas = options.replicas or _replicas(cluster, target, store, model)
    check_replicas(options.pods, replicas)
    deployed = Deployed(
        model=model,
        version=version,
        run=record.run,
        image=image,
        serve_image=options.serve_image,
        replicas=replicas,
        volume=options.volume,
        insecure=options.insecure,
        runtime=options.runtime,
        store=store.url,
        options=options.pods,
    )
    served = ServedModel({version: described(deployed.path, manifest, record)}, version)
    with _restored(cluster, target, model, version, before):
        heated = preheat(cluster, deployed) if options.preheat else None
        began = time.monotonic()
        target.apply(cluster, deployed, msgspec.json.encode(Config({model: served})).decode())
        _waking(cluster, target, model, version)
        alias = Alias(model, version, now(), None, run, image)
        report = _switch(cluster, target, store, alias, way, deadline=options.deadline, began=began)
        report.runtime, report.preheating = options.runtime, heated
        return report


def roll_back(
    cluster: Cluster, target: Target, store: Store, run: str, model: str, *, withdrawn: int | None, to: int | None
) -> RolloutReport:
    """Serve the version before the stable one again, or version ``to``, from the pods' description that was kept.

    Args:
        cluster: where the model is served.
        target: how it keeps versions.
        store: where the model's aliases and versions are.
        run: the run that asks for it.
        model: the model.
        withdrawn: the version to go back from; where another one is stable by now there is nothing left to move.
        to: the version to go to; None is the one that the alias names as the previous.

    Raises:
        InputError: no version is stable, none was before it, or its pods' description is gone.
        TransientError: as ``roll_out``.
    """
    alias = stable(store, model)
    if alias is None:
        raise InputError(f"no version of {model} is served, so there is nothing to roll back; see: colchis models list")
    goal = alias.version if withdrawn not in {None, alias.version} else (to or alias.previous)
    others = {v: found for v, found in versions(cluster, target, model).items() if v != alias.version}
    if goal is None and any(target.replicas(found) for found in others.values()):
        goal = alias.version  # a rollback that was killed after it moved the alias
    if goal is None:
        raise InputError(
            f"nothing was served before version {alias.version} of {model}; "
            f"name the version: colchis models rollback {model} --to N"
        )
    _, record = published(store, model, goal)
    before = cluster.own(target.KIND, version_name(model, goal), {LABEL_MODEL: model})
    if before is None:
        raise InputError(
            f"version {goal} of {model} is not kept in namespace {cluster.namespace} any more; roll it out: "
            f"colchis rollout --target={target.NAME} --model={model} --version={goal} --image={record.image} …"
        )
    replicas = max(int((before["metadata"].get("annotations") or {}).get(REPLICAS, 1)), target.replicas(before))
    way = Way.there(cluster, model, alias)
    with _restored(cluster, target, model, goal, before):
        began = time.monotonic()
        _waking(cluster, target, model, goal, replicas)
        wanted = Alias(model, goal, now(), None, run, record.image)
        went = goal != alias.version
        return _switch(cluster, target, store, wanted, way, deadline=Options.deadline, began=began, back=went)


def _switch(
    cluster: Cluster,
    target: Target,
    store: Store,
    alias: Alias,
    way: Way,
    *,
    deadline: float,
    began: float,
    back: bool = False,
) -> RolloutReport:
    """Wait for the version's pods, ask them, move route and alias to them, and let the others rest."""
    model, version = alias.model, alias.version
    wait_until(deadline, lambda: target.missing(cluster, model, version), f"version {version} of {model} is not ready")
    _ask(cluster, target, model, version)
    ready = time.monotonic()
    move(cluster, target, model, Traffic({version: 100}), way)
    moved = time.monotonic()
    alias.endpoint = f"{way.url}/v1/models/{model}"
    previous = move_stable(store, alias, back=back)
    cluster.patch(target.KIND, version_name(model, version), {"metadata": {"annotations": {HELD_SINCE: None}}})
    _rest(cluster, target, model, version, previous)
    return RolloutReport(
        target.NAME,
        "embedded",
        alias.endpoint,
        previous,
        version,
        round(ready - began, 3),
        round(moved - ready, 3),
    )


def _ask(cluster: Cluster, target: Target, model: str, version: int) -> None:
    """Ask the version once, by its Service; from outside the cluster that is left to the gateway."""
    deadline = time.monotonic() + (LISTENING if os.environ.get("KUBERNETES_SERVICE_HOST") else 3)
    name, port = target.backend(model, version)
    while True:
        try:
            return check(f"http://{name}.{cluster.namespace}.svc:{port}", model, version)
        except Away as error:
            if time.monotonic() > deadline:
                if os.environ.get("KUBERNETES_SERVICE_HOST"):
                    raise
                return log.info("not asked directly, only through the gateway: %s", error)
            time.sleep(0.3)


@contextlib.contextmanager
def _restored(cluster: Cluster, target: Target, model: str, version: int, before: Object | None) -> Iterator[None]:
    """Put things back where the version cannot be served: the route as it was, its own pods gone or at rest."""
    way = cluster.own("HTTPRoute", route_name(model), {LABEL_MODEL: model})
    try:
        yield
    except StepError as failed:
        try:
            if way:
                cluster.apply(again(way))
            else:
                cluster.delete("HTTPRoute", route_name(model))
            if before:  # it is what it was, at rest or at work
                cluster.apply(again(before))
            else:
                target.remove(cluster, model, version)
        except StepError as error:
            log.warning("what was served before may not be back (%s), because %s", error, failed)
        raise


def versions(cluster: Cluster, target: Target, model: str) -> dict[int, Object]:
    """Give the main objects of the model's versions that are there, by version."""
    found = cluster.list(target.KIND, {**MANAGED, LABEL_MODEL: model})
    numbers = [(one["metadata"]["labels"].get(LABEL_VERSION, ""), one) for one in found]
    named = {int(number): one for number, one in numbers if number.isdecimal()}
    return {number: one for number, one in named.items() if one["metadata"]["name"] == version_name(model, number)}


def _waking(cluster: Cluster, target: Target, model: str, version: int, replicas: int | None = None) -> None:
    """Say that a version is wanted from now on, so that pruning leaves it alone until traffic has moved to it."""
    about = {HELD_SINCE: now(), REPLICAS: None}
    change = {"metadata": {"annotations": about}} if replicas is None else target.scaled(replicas, about)
    cluster.patch(target.KIND, version_name(model, version), change)


def _replicas(cluster: Cluster, target: Target, store: Store, model: str) -> int:
    """Give how many pods serve the model now; traffic must not fall on fewer."""
    alias = stable(store, model)
    found = cluster.get(target.KIND, version_name(model, alias.version)) if alias else None
    return max(1, target.replicas(found)) if found else 1


def _rest(cluster: Cluster, target: Target, model: str, version: int, previous: int | None) -> None:
    """Scale the version before to zero, for a way back; remove those before it."""
    others = {number: found for number, found in versions(cluster, target, model).items() if number != version}
    ages = {n: (found["metadata"].get("annotations") or {}).get(HELD_SINCE, "~") for n, found in others.items()}
    keep = previous if previous in others else max(others, key=lambda n: (ages[n], n), default=None)
    for number, found in others.items():
        if number != keep:
            target.remove(cluster, model, number)
        elif target.replicas(found):
            about = {HELD_SINCE: now(), REPLICAS: str(target.replicas(found))}
            cluster.patch(target.KIND, version_name(model, number), target.scaled(0, about))
