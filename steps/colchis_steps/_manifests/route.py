"""Who answers a request for a model: one HTTPRoute (Gateway API v1) of weights and headers over its versions.

Pure: values in, manifests out. The gateway takes the most specific path first, then the rule with more headers, then
the first rule. So in this order: a version's own path and the tester's override header, the labels' paths, the routes
by header, the sticky ones, and the weights for all others.
"""

import re
from collections.abc import Callable

import msgspec

from colchis_steps._manifests.objects import LABEL_MODEL, MANAGED, Object
from colchis_steps._manifests.sticky import patterns

MOST_RULES = 16  # of an HTTPRoute, as its CRD has it
OVERRIDE = "colchis-version"  # the header by which a tester asks for a version


Backend = Callable[[str, int], tuple[str, int]]  # the name and port of a version's Service


NUMBER = re.compile(r"-([0-9]+)(?:-predictor)?$")  # a version at the end of its Service's name


class HeaderRoute(msgspec.Struct, frozen=True):
    """Requests whose header has exactly this value go to a version."""

    name: str
    value: str
    version: int


class Traffic(msgspec.Struct, frozen=True):
    """How a model's requests are shared out: ``weights`` are per cent by version; 0 is reached by name only."""

    weights: dict[int, int]
    headers: tuple[HeaderRoute, ...] = ()
    sticky: str = ""  # the header whose last two hex digits choose among the weights
    mirror: int | None = None  # the version that also gets a copy of each request, whose answer nobody sees
    labels: dict[str, int] = {}  # versions by label, as stable and canary, that requests may name


def route_name(model: str) -> str:
    """Return the name of a model's HTTPRoute."""
    return f"colchis-{model}"


def route(model: str, traffic: Traffic, gateway: tuple[str, str], backend: Backend) -> Object:
    """Describe the model's HTTPRoute on a Gateway, which is given by namespace and name.

    Raises:
        ValueError: the weights do not add up to 100, or a header, label or the mirror leads to a version without one.
    """
    weights = traffic.weights
    if sum(weights.values()) != 100:
        raise ValueError(f"weights {dict(weights)} do not add up to 100")
    named = {header.version for header in traffic.headers} | ({traffic.mirror} if traffic.mirror else set())
    named |= set(traffic.labels.values())
    if named - weights.keys():
        raise ValueError(f"version {min(named - weights.keys())} is not among those that have a weight")

    def to(version: int) -> Object:
        name, port = backend(model, version)
        return {"name": name, "port": port}

    shared = [*matches(f"models/{model}"), prefix(f"/board/{model}")]
    rules: list[Object] = []
    for version in sorted(weights):
        own = matches(f"models/{model}/versions/{version}")
        asked = with_header(shared, OVERRIDE, "Exact", str(version))
        rules.append({"matches": [*own, *asked], "backendRefs": [to(version)]})
    for label, version in sorted(traffic.labels.items()):
        rules.append({"matches": matches(f"models/{model}/labels/{label}"), "backendRefs": [to(version)]})
    for header in traffic.headers:
        matched = with_header(shared, header.name, "Exact", header.value)
        rules.append({"matches": matched, "backendRefs": [to(header.version)]})
    for version, pattern in patterns(weights).items() if traffic.sticky else ():
        matched = with_header(shared, traffic.sticky, "RegularExpression", pattern)
        rules.append({"matches": matched, "backendRefs": [to(version)]})
    others: Object = {"matches": shared, "backendRefs": [{**to(v), "weight": w} for v, w in sorted(weights.items())]}
    if traffic.mirror:
        others["filters"] = [mirror(to(traffic.mirror))]
    return described(route_name(model), model, gateway, [*rules, others])


def rule_count(traffic: Traffic) -> int:
    """Return how many rules the route for this traffic has."""
    sticky = len(patterns(traffic.weights)) if traffic.sticky else 0
    return len(traffic.weights) + len(traffic.labels) + len(traffic.headers) + sticky + 1


def mirror_probe(model: str, version: int, gateway: tuple[str, str], backend: Backend) -> Object:
    """Describe a route apart, below a path that nobody uses, by which is seen whether the gateway can mirror."""
    name, port = backend(model, version)
    to = {"name": name, "port": port}
    rule = {"matches": [prefix(mirror_path(model))], "filters": [mirror(to)], "backendRefs": [to]}
    return described(f"{route_name(model)}-mirror", model, gateway, [rule])


def mirror_path(model: str) -> str:
    """Return the path of ``mirror_probe``."""
    return f"/colchis/mirror/{model}"


def mirror(to: Object) -> Object:
    """Describe the filter that sends a copy of each request to a Service, too."""
    return {"type": "RequestMirror", "requestMirror": {"backendRef": to}}


def described(name: str, model: str, gateway: tuple[str, str], rules: list[Object]) -> Object:
    """Describe an HTTPRoute of the model."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "labels": {**MANAGED, LABEL_MODEL: model}},
        "spec": {"parentRefs": [{"namespace": gateway[0], "name": gateway[1]}], "rules": rules},
    }


def matches(path: str) -> list[Object]:
    """Match what is below a path of both protocols; a verb follows a colon, which no prefix takes for a separator."""
    return [
        {"path": {"type": "Exact", "value": f"/v1/{path}:predict"}},
        prefix(f"/v1/{path}"),
        prefix(f"/v2/{path}"),
    ]


def prefix(path: str) -> Object:
    """Match a path and all below it."""
    return {"path": {"type": "PathPrefix", "value": path}}


def with_header(paths: list[Object], name: str, kind: str, value: str) -> list[Object]:
    """Match the paths where a header has a value (Exact), or one of a form (RegularExpression)."""
    return [{**path, "headers": [{"type": kind, "name": name, "value": value}]} for path in paths]


def routed(found: Object | None) -> dict[int, int]:
    """Return the weights by version that a route has; 0 is a version that is reached by name only."""
    weights: dict[int, int] = {}
    for rule in found["spec"].get("rules", []) if found else []:
        matched = rule.get("matches", [])
        everybody = not any("headers" in match or "/labels/" in match["path"]["value"] for match in matched)
        for ref in rule.get("backendRefs", []):
            if number := NUMBER.search(ref["name"]):
                version = int(number[1])
                weights[version] = weights.get(version, 0) + (ref.get("weight", 1) if everybody else 0)
    return weights
