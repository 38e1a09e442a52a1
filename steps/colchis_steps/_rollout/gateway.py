"""How requests reach a model's versions: the one HTTPRoute of the model on a Gateway, moved and then asked.

Each version that the route names answers under its own path, with the key that the route was given, and one that it no
longer names does not: that is how it is known that the gateway itself, and not only its controller, has followed. The
GRPCRoute beside it is moved first, and by its controller's word alone.
"""

import contextlib
import enum
import logging
import os
import re
import secrets
from dataclasses import dataclass

import msgspec

from colchis_steps._formats.models import Alias
from colchis_steps._kube.cluster import Cluster, UnknownKind
from colchis_steps._manifests import grpc_route
from colchis_steps._manifests.objects import LABEL_MODEL, Object, again
from colchis_steps._manifests.route import (
    KEY,
    Traffic,
    key_of,
    mirror_path,
    mirror_probe,
    route,
    route_name,
    routed,
)
from colchis_steps._rollout.checks import check_answers
from colchis_steps._rollout.targets.protocol import Target
from colchis_steps._serving.client import Away, call
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._step.polling import wait_until

ACCEPTED = 30.0  # seconds for a gateway's controller to take a route
ACCEPTED_GRPC = 5.0  # seconds for one of gRPC, without which we go on
MOVED = 60.0  # seconds for the gateway itself to follow
MIRRORED = 15.0  # seconds for the gateway to take a route that mirrors
LEFT = 15.0  # seconds for the gateway to follow when a version has failed
NAME_IT = "name the right one with --gateway, or see to its listeners"
IN_A_ROW = 3  # answers of the new version through the gateway, whose proxies may be several
log = logging.getLogger("colchis")


class Kind(enum.Enum):
    """What answers a question for a model's status."""

    VERSION = "a version of the model"
    ELSE = "something else"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Reply:
    """An answer through the gateway; ``version`` is there for a version of the model alone."""

    kind: Kind
    version: int | None = None
    text: str = ""

    def __str__(self) -> str:
        """Return it as part of a sentence."""
        return self.text or (self.kind.value if self.version is None else str(self.version))


@dataclass(frozen=True)
class Way:
    """How requests reach the models: the Gateway's namespace and name, its URL, and the Gateway for gRPC, if any.

    One listener takes no HTTPRoute and GRPCRoute whose host names overlap, and ours have none; so gRPC has a Gateway of
    its own, or a host name of its own by that Gateway's listener.
    """

    gateway: tuple[str, str]
    url: str
    grpc: tuple[str, str] | None = None

    @classmethod
    def of(cls, gateway: str, url: str) -> "Way":
        """Return the way that the flags name, or else the environment (ConfigMap colchis)."""
        gateway = gateway or os.environ.get("COLCHIS_GATEWAY", "")
        url = (url or os.environ.get("COLCHIS_GATEWAY_URL", "")).rstrip("/")
        namespace, _, name = gateway.partition("/")
        if not (re.fullmatch(r"[a-z0-9.-]+", namespace) and re.fullmatch(r"[a-z0-9.-]+", name)):
            fix = "give --gateway=NAMESPACE/NAME, or COLCHIS_GATEWAY in ConfigMap colchis"
            raise InputError(f"{gateway!r} names no Gateway; {fix}")
        if not re.fullmatch(r"https?://[^/\s]+(/[^\s?#]*)?", url):
            fix = "give --gateway-url=http://HOST, or COLCHIS_GATEWAY_URL in ConfigMap colchis"
            raise InputError(f"{url[:128]!r} is not an address of the gateway {gateway}; {fix}")
        own = os.environ.get("COLCHIS_GRPC_GATEWAY", "")
        if own and (not re.fullmatch(r"[a-z0-9.-]+/[a-z0-9.-]+", own) or own == gateway):
            fix = "give the namespace/name of a Gateway other than that for HTTP, in ConfigMap colchis"
            raise InputError(f"COLCHIS_GRPC_GATEWAY is {own[:128]!r}; {fix}")
        grpc = (own.partition("/")[0], own.partition("/")[2]) if own else None
        return cls((namespace, name), url, grpc)

    @classmethod
    def there(cls, cluster: Cluster, model: str, alias: Alias) -> "Way":
        """Return the way that requests for a served model take now."""
        found = cluster.own("HTTPRoute", route_name(model), {LABEL_MODEL: model})
        url, separator, _ = alias.endpoint.rpartition(f"/v1/models/{model}")
        if found is None or not separator:
            where = f"namespace {cluster.namespace}"
            raise InputError(f"{model} is not served in {where}; name the right one with --namespace, or roll it out")
        return cls(parent_of(found, cluster.namespace), url)


def move(cluster: Cluster, target: Target, model: str, traffic: Traffic, way: Way) -> str:
    """Share traffic out and wait until the gateway does so; return the key by which each version is to be asked.

    Raises:
        InputError: the gateway does not take the route, or a version does not answer through it.
        TransientError: it does not follow in time.
    """
    was = cluster.get("HTTPRoute", route_name(model))
    if was and (why := _joined(cluster, was, way.gateway, ACCEPTED)):
        raise InputError(f"{why}; {NAME_IT}")
    gone, before = routed(was).keys() - traffic.weights.keys(), key_of(was)
    traffic = msgspec.structs.replace(traffic, key=secrets.token_hex(16) if len(traffic.weights) > 1 else "")
    grpc = move_grpc(cluster, target, model, traffic, way)
    cluster.apply(route(model, traffic, way.gateway, target.backend))
    try:
        _wait_accepted(cluster, "HTTPRoute", route_name(model), way.gateway, ACCEPTED)
    except TransientError as error:
        raise InputError(f"{error}; {NAME_IT}") from error
    seen = 0

    def missing() -> str:
        nonlocal seen
        found = {version: _answering(way, f"{model}/versions/{version}", traffic.key) for version in traffic.weights}
        wrong = [f"version {number} answers {reply}" for number, reply in found.items() if reply.version != number]
        wrong += [f"version {version} still answers" for version in gone if not _has_left(way, model, version, before)]
        served = [version for version, weight in traffic.weights.items() if weight]
        wrong += [] if _answering(way, model).version in served else ["nobody answers who has a share"]
        seen = 0 if wrong else seen + 1
        return "" if seen >= IN_A_ROW else "; ".join(wrong) or "it has only begun to"

    what = f"the gateway at {way.url} does not lead to versions {sorted(traffic.weights)} of {model}"
    wait_until(MOVED, missing, what, interval=0.1)
    if grpc:
        _wait_for_grpc(cluster, model, grpc)
    for version in traffic.weights:
        check_answers(way.url, model, version, {KEY: traffic.key} if traffic.key else {})
    return traffic.key


def _joined(cluster: Cluster, was: Object, gateway: tuple[str, str], within: float) -> str:
    """Hang a route, as it is, on another Gateway beside its own, so that who asks there is answered meanwhile.

    Return why the other does not take it, with the route as it was.
    """
    if parent_of(was, cluster.namespace) == gateway:
        return ""
    both = again(was)
    other = {"namespace": gateway[0], "name": gateway[1]}
    both["spec"] = {**was["spec"], "parentRefs": [was["spec"]["parentRefs"][0], other]}
    cluster.apply(both)
    try:
        _wait_accepted(cluster, was["kind"], was["metadata"]["name"], gateway, within)
    except TransientError as error:
        cluster.apply(again(was))
        return str(error)
    return ""


def move_grpc(cluster: Cluster, target: Target, model: str, traffic: Traffic, way: Way) -> tuple[str, str] | None:
    """Share gRPC's traffic out alike, at the Gateway for gRPC or where the route is already; give that Gateway."""
    try:
        was = cluster.own(grpc_route.KIND, route_name(model), {LABEL_MODEL: model})
    except UnknownKind:
        if way.grpc:
            log.info("the cluster has no GRPCRoutes, so gRPC reaches %s by its versions' Services alone", model)
        return None
    gateway = way.grpc or (parent_of(was, cluster.namespace) if was else None)
    if gateway and was and (why := _joined(cluster, was, gateway, ACCEPTED_GRPC)):
        log.warning("%s, so gRPC stays where it is", why)
        gateway = parent_of(was, cluster.namespace)
    if gateway:
        cluster.apply(grpc_route.grpc_route(model, traffic, gateway, target.backend))
    return gateway


def _wait_for_grpc(cluster: Cluster, model: str, gateway: tuple[str, str]) -> None:
    """Wait until the Gateway's controller has taken the GRPCRoute; one that does not costs a warning."""
    try:
        _wait_accepted(cluster, grpc_route.KIND, route_name(model), gateway, ACCEPTED_GRPC)
    except TransientError as error:
        log.warning("%s, so gRPC may not reach %s through it", error, model)


def parent_of(found: Object, namespace: str) -> tuple[str, str]:
    """Return namespace and name of the Gateway that a route hangs on."""
    parent = found["spec"]["parentRefs"][0]
    return parent.get("namespace", namespace), parent["name"]


def put_back_grpc(cluster: Cluster, model: str, was: Object | None) -> None:
    """Make the model's GRPCRoute what it was."""
    with contextlib.suppress(UnknownKind):
        if was:
            cluster.apply(again(was))
        else:
            cluster.discard(grpc_route.KIND, route_name(model), {LABEL_MODEL: model})


def check_mirror(cluster: Cluster, target: Target, model: str, version: int, way: Way) -> None:
    """Try on a route apart whether the gateway mirrors: one that cannot may drop a route that asks for it.

    Raises:
        InputError: nothing of ours answers behind such a route.
    """
    probe = mirror_probe(model, version, way.gateway, target.backend)
    cluster.apply(probe)

    def missing() -> str:
        with contextlib.suppress(Away):  # our server says in JSON that there is nothing; a gateway does not
            return (
                "" if isinstance(call(f"{way.url}{mirror_path(model)}", timeout=5)[1], dict) else "it drops the route"
            )
        return "nothing answers"

    try:
        wait_until(MIRRORED, missing, f"the gateway at {way.url} does not mirror requests")
    except TransientError as error:
        raise InputError(f"{error}; leave --mirror out, or take one that has HTTPRouteRequestMirror") from error
    finally:
        cluster.delete("HTTPRoute", probe["metadata"]["name"])


def left(stable: Alias, version: int, key: str = "") -> None:
    """Wait until the gateway leads nobody to a version any more: its pods are about to end.

    ``key`` is that by which the route led to it.
    """
    url = stable.endpoint.rpartition("/v1/models/")[0]
    way, seen = Way(("", ""), url), 0
    if not url:  # an alias of a time when aliases had no endpoint
        return

    def missing() -> str:
        nonlocal seen
        seen = seen + 1 if _has_left(way, stable.model, version, key) else 0
        return "" if seen >= IN_A_ROW else "it still does"

    try:
        wait_until(LEFT, missing, f"the gateway at {url} leads to version {version} of {stable.model}", interval=0.1)
    except TransientError as error:
        log.warning("%s; its pods end all the same", error)


def _wait_accepted(cluster: Cluster, kind: str, name: str, gateway: tuple[str, str], within: float) -> None:
    what = f"Gateway {'/'.join(gateway)} does not take the {'route' if kind == 'HTTPRoute' else kind}"
    wait_until(within, lambda: _not_accepted(cluster, kind, name, gateway), what)


def _not_accepted(cluster: Cluster, kind: str, name: str, gateway: tuple[str, str]) -> str:
    found = cluster.get(kind, name) or {}
    for parent in found.get("status", {}).get("parents", []):
        there = parent["parentRef"].get("namespace", cluster.namespace), parent["parentRef"]["name"]
        if there != gateway:
            continue
        for condition in parent.get("conditions", []):
            stale = condition.get("observedGeneration", 0) < found["metadata"]["generation"]
            if stale or (condition["type"] in {"Accepted", "ResolvedRefs"} and condition["status"] != "True"):
                return f"{condition['type']} is {condition['status']}, {condition.get('message', '')}"[:300]
        return ""
    return "no controller has answered; is there such a Gateway, and does its controller run?"


def _has_left(way: Way, model: str, version: int, key: str) -> bool:
    """Return whether something else answers under a version's own path; where nothing does, that is not known."""
    reply = _answering(way, f"{model}/versions/{version}", key)
    return reply.kind is not Kind.NOTHING and reply.version != version


def _answering(way: Way, path: str, key: str = "") -> Reply:
    """Return which version answers under a path, or what comes in its place."""
    try:
        status, found = call(f"{way.url}/v1/models/{path}", timeout=5, headers={KEY: key} if key else {})
    except Away:
        return Reply(Kind.NOTHING)
    if status != 200:
        return Reply(Kind.ELSE, text=f"status {status}")
    try:
        return Reply(Kind.VERSION, int(found["model_version_status"][0]["version"]))
    except (KeyError, TypeError, IndexError, ValueError):
        return Reply(Kind.ELSE, text="something else than a model's status")
