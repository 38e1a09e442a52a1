"""How requests reach a model's versions: the one HTTPRoute of the model on a Gateway, moved and then asked.

Each version that the route names answers under its own path, and one that it no longer names does not: that is how
it is known that the gateway itself, and not only its controller, has followed.
"""

import contextlib
import enum
import logging
import os
import re
from dataclasses import dataclass

from colchis_steps._formats.models import Alias
from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests.objects import LABEL_MODEL
from colchis_steps._manifests.route import Traffic, mirror_path, mirror_probe, route, route_name, routed
from colchis_steps._rollout.checks import check_answers
from colchis_steps._rollout.targets.protocol import Target
from colchis_steps._serving.client import Away, call
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._step.polling import wait_until

ACCEPTED = 30.0  # seconds for a gateway's controller to take a route
MOVED = 60.0  # seconds for the gateway itself to follow
MIRRORED = 15.0  # seconds for the gateway to take a route that mirrors
LEFT = 15.0  # seconds for the gateway to follow when a version has failed
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
    """How requests reach the models: the Gateway's namespace and name, and its URL."""

    gateway: tuple[str, str]
    url: str

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
        return cls((namespace, name), url)

    @classmethod
    def there(cls, cluster: Cluster, model: str, alias: Alias) -> "Way":
        """Return the way that requests for a served model take now."""
        found = cluster.own("HTTPRoute", route_name(model), {LABEL_MODEL: model})
        url, separator, _ = alias.endpoint.rpartition(f"/v1/models/{model}")
        if found is None or not separator:
            where = f"namespace {cluster.namespace}"
            raise InputError(f"{model} is not served in {where}; name the right one with --namespace, or roll it out")
        parent = found["spec"]["parentRefs"][0]
        return cls((parent.get("namespace", cluster.namespace), parent["name"]), url)


def move(cluster: Cluster, target: Target, model: str, traffic: Traffic, way: Way) -> None:
    """Share traffic out and wait until the gateway does so.

    Raises:
        InputError: the gateway does not take the route, or a version does not answer through it.
        TransientError: it does not follow in time.
    """
    gone = routed(cluster.get("HTTPRoute", route_name(model))).keys() - traffic.weights.keys()
    cluster.apply(route(model, traffic, way.gateway, target.backend))
    where = "/".join(way.gateway)
    try:
        wait_until(ACCEPTED, lambda: _not_accepted(cluster, model, way), f"Gateway {where} does not take the route")
    except TransientError as error:
        raise InputError(f"{error}; name the right one with --gateway, or see to its listeners") from error
    seen = 0

    def missing() -> str:
        nonlocal seen
        found = {version: _answering(way, f"{model}/versions/{version}") for version in traffic.weights}
        wrong = [f"version {number} answers {reply}" for number, reply in found.items() if reply.version != number]
        wrong += [f"version {version} still answers" for version in gone if not _has_left(way, model, version)]
        served = [version for version, weight in traffic.weights.items() if weight]
        wrong += [] if _answering(way, model).version in served else ["nobody answers who has a share"]
        seen = 0 if wrong else seen + 1
        return "" if seen >= IN_A_ROW else "; ".join(wrong) or "it has only begun to"

    what = f"the gateway at {way.url} does not lead to versions {sorted(traffic.weights)} of {model}"
    wait_until(MOVED, missing, what, interval=0.1)
    for version in traffic.weights:
        check_answers(way.url, model, version)


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


def left(stable: Alias, version: int) -> None:
    """Wait until the gateway leads nobody to a version any more: its pods are about to end."""
    url = stable.endpoint.rpartition("/v1/models/")[0]
    way, seen = Way(("", ""), url), 0
    if not url:  # an alias of a time when aliases had no endpoint
        return

    def missing() -> str:
        nonlocal seen
        seen = seen + 1 if _has_left(way, stable.model, version) else 0
        return "" if seen >= IN_A_ROW else "it still does"

    try:
        wait_until(LEFT, missing, f"the gateway at {url} leads to version {version} of {stable.model}", interval=0.1)
    except TransientError as error:
        log.warning("%s; its pods end all the same", error)


def _not_accepted(cluster: Cluster, model: str, way: Way) -> str:
    found = cluster.get("HTTPRoute", route_name(model)) or {}
    for parent in found.get("status", {}).get("parents", []):
        there = parent["parentRef"].get("namespace", cluster.namespace), parent["parentRef"]["name"]
        if there != way.gateway:
            continue
        for condition in parent.get("conditions", []):
            stale = condition.get("observedGeneration", 0) < found["metadata"]["generation"]
            if stale or (condition["type"] in {"Accepted", "ResolvedRefs"} and condition["status"] != "True"):
                return f"{condition['type']} is {condition['status']}, {condition.get('message', '')}"[:300]
        return ""
    return "no controller has answered; is there such a Gateway, and does its controller run?"


def _has_left(way: Way, model: str, version: int) -> bool:
    """Return whether something else answers under a version's own path; where nothing does, that is not known."""
    reply = _answering(way, f"{model}/versions/{version}")
    return reply.kind is not Kind.NOTHING and reply.version != version


def _answering(way: Way, path: str) -> Reply:
    """Return which version answers under a path, or what comes in its place."""
    try:
        status, found = call(f"{way.url}/v1/models/{path}", timeout=5)
    except Away:
        return Reply(Kind.NOTHING)
    if status != 200:
        return Reply(Kind.ELSE, text=f"status {status}")
    try:
        return Reply(Kind.VERSION, int(found["model_version_status"][0]["version"]))
    except (KeyError, TypeError, IndexError, ValueError):
        return Reply(Kind.ELSE, text="something else than a model's status")
