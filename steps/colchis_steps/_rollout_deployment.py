"""Rollout on a plain cluster: pods of the new version, a question, the route, the alias; then the old ones rest.

Each write is one server-side apply or patch and each part looks at what is there first, so a rollout that died at any
line is made good by running it again. One that fails leaves what was served before. Only objects with Colchis's labels
and this model's name are written or removed.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from colchis_steps._deployment import (
    HELD_SINCE,
    LABEL_MODEL,
    LABEL_VERSION,
    PORT,
    REPLICAS,
    Deployed,
    again,
    deployment,
    route_name,
    service,
    version_name,
)
from colchis_steps._formats import Alias, now
from colchis_steps._kube import MANAGED, Cluster, Object, wait_until
from colchis_steps._pod_trouble import is_ready, trouble
from colchis_steps._reports import RolloutReport
from colchis_steps._rollout_checks import check
from colchis_steps._rollout_gateway import Way, move
from colchis_steps._rollout_store import check_image, described, move_stable, published, stable
from colchis_steps._serving_client import Away, call
from colchis_steps._serving_config import Config, ServedModel
from colchis_steps._step import InputError, StepError, TransientError
from colchis_steps._store import Store

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
    deadline: float = 600.0  # seconds for the pods to be ready


def roll_out(
    cluster: Cluster, store: Store, run: str, model: str, *, version: int, image: str, options: Options
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
    way = Way.of(options.gateway, options.gateway_url)
    before = cluster.own("Deployment", version_name(model, version), {LABEL_MODEL: model})
    deployed = Deployed(
        model=model,
        version=version,
        run=record.run,
        image=image,
        serve_image=options.serve_image,
        replicas=options.replicas or _replicas(cluster, store, model),
        volume=options.volume,
        insecure=options.insecure,
    )
    served = ServedModel({version: described(deployed.path, manifest, record)}, version)
    with _restored(cluster, model, version, before):
        began = time.monotonic()
        cluster.apply(service(deployed))
        cluster.apply(deployment(deployed, msgspec.json.encode(Config({model: served})).decode()))
        _waking(cluster, model, version, {})
        alias = Alias(model, version, now(), None, run, image)
        return _switch(cluster, store, alias, way, deadline=options.deadline, began=began)


def roll_back(
    cluster: Cluster, store: Store, run: str, model: str, *, withdrawn: int | None, to: int | None
) -> RolloutReport:
    """Serve the version before the stable one again, or version ``to``, from the pods' description that was kept.

    Args:
        cluster: where the model is served.
        store: where the model's aliases and versions are.
        run: the run that asks for it.
        model: the model.
        withdrawn: the version to go back from; where another one is stable by now there is nothing left to move.
        to: the version to go to; None is the one that the alias names as the previous.

    Raises:
        InputError: no version is stable, none was before it, or its Deployment is gone.
        TransientError: as ``roll_out``.
    """
    alias = stable(store, model)
    if alias is None:
        raise InputError(f"no version of {model} is served, so there is nothing to roll back; see: colchis models list")
    target = alias.version if withdrawn not in {None, alias.version} else (to or alias.previous)
    if target is None and [v for v, found in _versions(cluster, model).items() if v != alias.version and _awake(found)]:
        target = alias.version  # a rollback that was killed after it moved the alias
    if target is None:
        raise InputError(
            f"nothing was served before version {alias.version} of {model}; "
            f"name the version: colchis models rollback {model} --to N"
        )
    _, record = published(store, model, target)
    before = cluster.own("Deployment", version_name(model, target), {LABEL_MODEL: model})
    if before is None:
        raise InputError(
            f"version {target} of {model} is not kept in namespace {cluster.namespace} any more; roll it out: "
            f"colchis rollout --target=deployment --model={model} --version={target} --image={record.image} …"
        )
    replicas = max(int((before["metadata"].get("annotations") or {}).get(REPLICAS, 1)), before["spec"]["replicas"])
    way = Way.there(cluster, model, alias)
    with _restored(cluster, model, target, before):
        began = time.monotonic()
        _waking(cluster, model, target, {"spec": {"replicas": replicas}})
        wanted = Alias(model, target, now(), None, run, record.image)
        went = target != alias.version
        return _switch(cluster, store, wanted, way, deadline=Options.deadline, began=began, back=went)


def _switch(
    cluster: Cluster,
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
    _wait(cluster, model, version, deadline)
    _ask(cluster, model, version)
    ready = time.monotonic()
    move(cluster, model, {version: 100}, way)
    moved = time.monotonic()
    alias.endpoint = f"{way.url}/v1/models/{model}"
    previous = move_stable(store, alias, back=back)
    cluster.patch("Deployment", version_name(model, version), {"metadata": {"annotations": {HELD_SINCE: None}}})
    _rest(cluster, model, version, previous)
    return RolloutReport(
        "deployment",
        "embedded",
        alias.endpoint,
        previous,
        version,
        round(ready - began, 3),
        round(moved - ready, 3),
    )


def _wait(cluster: Cluster, model: str, version: int, deadline: float) -> None:
    name, what = version_name(model, version), f"version {version} of {model}"

    def missing() -> str:
        found = cluster.get("Deployment", name)
        if found is None:
            raise TransientError(f"Deployment {name} was removed while its pods started; run the rollout again")
        if is_ready(found):
            return ""
        pods = cluster.list("Pod", {LABEL_MODEL: model, LABEL_VERSION: str(version)})
        told, hopeless = trouble(found, pods)
        if hopeless:
            raise InputError(f"{what} cannot be served: {told}; put that right and roll it out again")
        for pod in pods:
            if error := _load_error(pod, model, version):
                raise InputError(f"{what} does not load: {error}; train it again, or serve it with another image")
        return told or "its pods start"

    wait_until(deadline, missing, f"{what} is not ready")


def _load_error(pod: Object, model: str, version: int) -> str:
    """Give what the server in a pod that is not ready says of the version; a cluster's outside hears nothing."""
    status = pod.get("status", {})
    started = [one for one in status.get("containerStatuses", []) if "running" in one.get("state", {})]
    if not started or not status.get("podIP"):
        return ""
    host = f"[{status['podIP']}]" if ":" in status["podIP"] else status["podIP"]
    with contextlib.suppress(Away):
        code, found = call(f"http://{host}:{PORT}/v1/models/{model}/versions/{version}", timeout=1)
        if code == 200 and (state := found["model_version_status"][0])["state"] == "END":
            return str(state["status"]["error_message"])
    return ""


def _ask(cluster: Cluster, model: str, version: int) -> None:
    """Ask the version once, by its Service; from outside the cluster that is left to the gateway."""
    deadline = time.monotonic() + (LISTENING if os.environ.get("KUBERNETES_SERVICE_HOST") else 3)
    while True:
        try:
            return check(f"http://{version_name(model, version)}.{cluster.namespace}.svc:{PORT}", model, version)
        except Away as error:
            if time.monotonic() > deadline:
                if os.environ.get("KUBERNETES_SERVICE_HOST"):
                    raise
                return log.info("not asked directly, only through the gateway: %s", error)
            time.sleep(0.3)


@contextlib.contextmanager
def _restored(cluster: Cluster, model: str, version: int, before: Object | None) -> Iterator[None]:
    """Put things back where the version cannot be served: the route as it was, its own pods gone or at rest."""
    way = cluster.own("HTTPRoute", route_name(model), {LABEL_MODEL: model})
    had_service = cluster.own("Service", version_name(model, version), {LABEL_MODEL: model})
    try:
        yield
    except StepError as failed:
        try:
            name = version_name(model, version)
            if way:
                cluster.apply(again(way))
            else:
                cluster.delete("HTTPRoute", route_name(model))
            if before:  # it is what it was, at rest or at work
                cluster.apply(again(before))
            else:
                cluster.delete("Deployment", name)
            if not had_service:
                cluster.delete("Service", name)
        except StepError as error:
            log.warning("what was served before may not be back (%s), because %s", error, failed)
        raise


def _versions(cluster: Cluster, model: str) -> dict[int, Object]:
    found = cluster.list("Deployment", {**MANAGED, LABEL_MODEL: model})
    numbers = [(one["metadata"]["labels"].get(LABEL_VERSION, ""), one) for one in found]
    return {int(number): one for number, one in numbers if number.isdecimal()}


def _waking(cluster: Cluster, model: str, version: int, change: Object) -> None:
    """Say that a version is wanted from now on, so that pruning leaves it alone until traffic has moved to it."""
    about = {"annotations": {HELD_SINCE: now(), REPLICAS: None}}
    cluster.patch("Deployment", version_name(model, version), {"metadata": about, **change})


def _awake(found: Object) -> bool:
    return bool(found["spec"]["replicas"])


def _replicas(cluster: Cluster, store: Store, model: str) -> int:
    """Give how many pods serve the model now; traffic must not fall on fewer."""
    alias = stable(store, model)
    found = cluster.get("Deployment", version_name(model, alias.version)) if alias else None
    return max(1, found["spec"]["replicas"]) if found else 1


def _rest(cluster: Cluster, model: str, version: int, previous: int | None) -> None:
    """Scale the version before to zero, for a way back; remove those before it."""
    others = {number: found for number, found in _versions(cluster, model).items() if number != version}
    ages = {n: (found["metadata"].get("annotations") or {}).get(HELD_SINCE, "~") for n, found in others.items()}
    keep = previous if previous in others else max(others, key=lambda n: (ages[n], n), default=None)
    for number, found in others.items():
        name = version_name(model, number)
        if number != keep:
            cluster.delete("Deployment", name)
            cluster.delete("Service", name)
        elif _awake(found):
            about = {HELD_SINCE: now(), REPLICAS: str(found["spec"]["replicas"])}
            cluster.patch("Deployment", name, {"metadata": {"annotations": about}, "spec": {"replicas": 0}})
