"""How requests reach a model's versions: the one HTTPRoute of the model on a Gateway, moved and then asked."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from colchis_steps._deployment import LABEL_MODEL, route, route_name
from colchis_steps._formats import Alias
from colchis_steps._kube import Cluster, wait_until
from colchis_steps._rollout_checks import check
from colchis_steps._serving_client import Away, call
from colchis_steps._step import InputError, TransientError

ACCEPTED = 30.0  # seconds for a gateway's controller to take a route
MOVED = 60.0  # seconds for the gateway itself to follow
IN_A_ROW = 3  # answers of the new version through the gateway, whose proxies may be several


@dataclass(frozen=True)
class Way:
    """How requests reach the models: the Gateway's namespace and name, and its URL."""

    gateway: tuple[str, str]
    url: str

    @classmethod
    def of(cls, gateway: str, url: str) -> "Way":
        """Give the way that the flags name, or else the environment (ConfigMap colchis)."""
        gateway = gateway or os.environ.get("COLCHIS_GATEWAY", "")
        url = (url or os.environ.get("COLCHIS_GATEWAY_URL", "")).rstrip("/")
        namespace, _, name = gateway.partition("/")
        if not (re.fullmatch(r"[a-z0-9.-]+", namespace) and re.fullmatch(r"[a-z0-9.-]+", name)):
            fix = "give --gateway=NAMESPACE/NAME, or COLCHIS_GATEWAY in ConfigMap colchis"
            raise InputError(f"{gateway!r} names no Gateway; {fix}")
        if not re.fullmatch(r"https?://[^/\s]+(/[^\s?#]*)?", url):
            fix = "give --gateway-url=http://HOST, or COLCHIS_GATEWAY_URL in ConfigMap colchis"
            raise InputError(f"{url!r} is no address of the gateway {gateway}; {fix}")
        return cls((namespace, name), url)

    @classmethod
    def there(cls, cluster: Cluster, model: str, alias: Alias) -> "Way":
        """Give the way that requests for a served model take now."""
        found = cluster.own("HTTPRoute", route_name(model), {LABEL_MODEL: model})
        url, separator, _ = alias.endpoint.rpartition(f"/v1/models/{model}")
        if found is None or not separator:
            where = f"namespace {cluster.namespace}"
            raise InputError(f"{model} is not served in {where}; name the right one with --namespace, or roll it out")
        parent = found["spec"]["parentRefs"][0]
        return cls((parent.get("namespace", cluster.namespace), parent["name"]), url)


def move(cluster: Cluster, model: str, weights: Mapping[int, int], way: Way) -> None:
    """Give traffic by weight and wait until the gateway does so.

    Raises:
        InputError: the gateway does not take the route.
        TransientError: it does not follow in time.
    """
    cluster.apply(route(model, weights, way.gateway))
    where = "/".join(way.gateway)
    try:
        wait_until(ACCEPTED, lambda: _not_accepted(cluster, model, way), f"Gateway {where} does not take the route")
    except TransientError as error:
        raise InputError(f"{error}; name the right one with --gateway, or see to its listeners") from error
    seen = 0

    def missing() -> str:
        nonlocal seen
        found = _answering(f"{way.url}/v1/models/{model}")
        seen = seen + 1 if isinstance(found, int) and found in weights else 0
        return "" if seen >= IN_A_ROW else str(found)

    what = f"the gateway at {way.url} does not answer with version {max(weights)} of {model}"
    wait_until(MOVED, missing, what, interval=0.1)
    for version in weights:
        check(way.url, model, version)


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


def _answering(url: str) -> int | str:
    """Give the version that answers at the URL, or what comes in its place."""
    try:
        status, found = call(url, timeout=5)
        return int(found["model_version_status"][0]["version"]) if status == 200 else f"it answers {status}"
    except Away as error:
        return str(error)
    except (KeyError, TypeError, ValueError):
        return "it answers something else than a model's status"
