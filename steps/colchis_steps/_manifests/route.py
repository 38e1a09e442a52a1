"""Who answers a request for a model: one HTTPRoute (Gateway API v1) of weights and headers over its versions.

Pure: values in, manifests out. The gateway takes the most specific path first, then the rule with more headers, then
the first rule. So in this order: a version's own path and the tester's override header, the labels' paths, the routes
by header, the sticky ones, and the weights for all others.

Nobody but a rollout may aim at a version beside the stable one, unless ``testers`` may: its own path leads to it with
the rollout's key alone, and else to the stable version, which says that it has no such version.
"""

import re
from collections.abc import Callable

import msgspec

from colchis_steps._manifests.objects import LABEL_MODEL, MANAGED, Object
from colchis_steps._manifests.sticky import patterns

MOST_RULES = 16  # of an HTTPRoute, as its CRD has it
OVERRIDE = "colchis-version"  # the header by which a version is asked for
KEY = "colchis-key"  # the header by which a rollout shows that it may ask for any version


Backend = Callable[[str, int], tuple[str, int]]  # the name and port of a version's Service


NUMBER = re.compile(r"-([0-9]+)(?:-predictor)?$")  # a version at the end of its Service's name
NAMES = re.compile(r"/models/[^/]+/(?:labels/|(?:versions|labels)$)")  # paths of requests that name a version


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
    stable: int | None = None  # the version that requests may name; where there is one alone, that
    testers: bool = False  # requests may name each version
    key: str = ""  # with which a request may name each version all the same

    @property
    def named(self) -> dict[int, str]:
        """Return the versions that requests may name, each with the key that they need for it, or ""."""
        if self.testers or len(self.weights) == 1:
            return dict.fromkeys(sorted(self.weights), "")
        keys = {version: "" if version == self.stable else self.key for version in sorted(self.weights)}
        return {version: key for version, key in keys.items() if key or version == self.stable}

    @property
    def others(self) -> int | None:
        """Return the version that answers requests which name one that they may not; None: by weight, as all do."""
        return self.stable if self.stable in self.weights and not self.testers and len(self.weights) > 1 else None

    def check(self) -> None:
        """Raise ValueError as ``route``."""
        if sum(self.weights.values()) != 100:
            raise ValueError(f"weights {dict(self.weights)} do not add up to 100")
        wanted = {header.version for header in self.headers} | ({self.mirror} if self.mirror else set())
        if absent := (wanted | set(self.labels.values())) - self.weights.keys():
            raise ValueError(f"version {min(absent)} is not among those that have a weight")


def route_name(model: str) -> str:
    """Return the name of a model's HTTPRoute."""
    return f"colchis-{model}"


def route(model: str, traffic: Traffic, gateway: tuple[str, str], backend: Backend) -> Object:
    """Describe the model's HTTPRoute on a Gateway, which is given by namespace and name.

    Raises:
        ValueError: the weights do not add up to 100, or a header, label or the mirror leads to a version without one.
    """
    traffic.check()

    def to(version: int) -> Object:
        name, port = backend(model, version)
        return {"name": name, "port": port}

    shared = [*matches(f"models/{model}"), prefix(f"/board/{model}")]
    rules: list[Object] = []
    for version, key in traffic.named.items():
        own = matches(f"models/{model}/versions/{version}")
        asked = with_header(shared, OVERRIDE, "Exact", str(version))
        matched = with_header([*own, *asked], KEY, "Exact", key) if key else [*own, *asked]
        rules.append({"matches": matched, "backendRefs": [to(version)]})
    for label, version in sorted(traffic.labels.items()):
        if traffic.named.get(version) == "":
            rules.append({"matches": matches(f"models/{model}/labels/{label}"), "backendRefs": [to(version)]})
    if (stable := traffic.others) is not None:
        below = [prefix(f"/{v}/models/{model}/{names}") for v in ("v1", "v2") for names in ("versions", "labels")]
        rules.append({"matches": below, "backendRefs": [to(stable)]})
    for header in traffic.headers:
        matched = with_header(shared, header.name, "Exact", header.value)
        rules.append({"matches": matched, "backendRefs": [to(header.version)]})
    for version, pattern in patterns(traffic.weights).items() if traffic.sticky else ():
        matched = with_header(shared, traffic.sticky, "RegularExpression", pattern)
        rules.append({"matches": matched, "backendRefs": [to(version)]})
    shares = [{**to(version), "weight": weight} for version, weight in sorted(traffic.weights.items())]
    others: Object = {"matches": shared, "backendRefs": shares}
    if traffic.mirror:
        others["filters"] = [mirror(to(traffic.mirror))]
    return described(route_name(model), model, gateway, [*rules, others])


def rule_count(traffic: Traffic) -> int:
    """Return how many rules the route for this traffic has."""
    sticky = len(patterns(traffic.weights)) if traffic.sticky else 0
    labels = sum(traffic.named.get(version) == "" for version in traffic.labels.values())
    return len(traffic.named) + labels + (traffic.others is not None) + len(traffic.headers) + sticky + 1


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


def described(name: str, model: str, gateway: tuple[str, str], rules: list[Object], kind: str = "HTTPRoute") -> Object:
    """Describe a route of the model."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
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
    asked = {"type": kind, "name": name, "value": value}
    return [{**path, "headers": [*path.get("headers", ()), asked]} for path in paths]


def key_of(found: Object | None) -> str:
    """Return the key by which a route leads to each version, "" where it needs none."""
    for rule in found["spec"].get("rules", []) if found else []:
        for match in rule.get("matches", []):
            for header in match.get("headers", []):
                if header["name"] == KEY:
                    return str(header["value"])
    return ""


def routed(found: Object | None) -> dict[int, int]:
    """Return the weights by version that a route has; 0 is a version that is reached by name only."""
    weights: dict[int, int] = {}
    for rule in found["spec"].get("rules", []) if found else []:
        matched = rule.get("matches", [])
        everybody = not any("headers" in match or NAMES.search(match["path"]["value"]) for match in matched)
        for ref in rule.get("backendRefs", []):
            if number := NUMBER.search(ref["name"]):
                version = int(number[1])
                weights[version] = weights.get(version, 0) + (ref.get("weight", 1) if everybody else 0)
    return weights
