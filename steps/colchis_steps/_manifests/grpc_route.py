"""Who answers a gRPC request for a model: one GRPCRoute (Gateway API v1), beside the HTTPRoute and as it shares out.

A route sees no messages, so a client says in the metadata ``colchis-model`` which model it asks, and in
``colchis-version`` which version, where it names one. Pure: values in, manifests out. The gateway takes the rule with
more headers first, then the first rule.
"""

from colchis_steps._manifests.deployment import GRPC_PORT
from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.route import KEY, OVERRIDE, Backend, Traffic, described, mirror, route_name
from colchis_steps._manifests.sticky import patterns

KIND = "GRPCRoute"
MODEL = "colchis-model"  # the metadata by which a client says which model it asks


def grpc_route(model: str, traffic: Traffic, gateway: tuple[str, str], backend: Backend) -> Object:
    """Describe the model's GRPCRoute on a Gateway, which is given by namespace and name. Raises as ``route``."""
    traffic.check()

    def to(version: int) -> Object:
        return {"name": backend(model, version)[0], "port": GRPC_PORT}

    def rule(version: int, kind: str = "Exact", **headers: str) -> Object:
        return {"matches": [asked(model, kind, headers)], "backendRefs": [to(version)]}

    rules = [
        rule(version, **{OVERRIDE: str(version)}, **({KEY: key} if key else {}))
        for version, key in traffic.named.items()
    ]
    rules += [rule(header.version, **{header.name: header.value}) for header in traffic.headers]
    for version, pattern in patterns(traffic.weights).items() if traffic.sticky else ():
        rules.append(rule(version, "RegularExpression", **{traffic.sticky: pattern}))
    shares = [{**to(version), "weight": weight} for version, weight in sorted(traffic.weights.items())]
    others: Object = {"matches": [asked(model, "Exact", {})], "backendRefs": shares}
    if traffic.mirror:
        others["filters"] = [mirror(to(traffic.mirror))]
    return described(route_name(model), model, gateway, [*rules, others], KIND)


def asked(model: str, kind: str, headers: dict[str, str]) -> Object:
    """Match requests for the model whose other headers have a value (Exact), or one of a form (RegularExpression)."""
    named = [{"type": kind, "name": name, "value": value} for name, value in headers.items()]
    return {"headers": [{"type": "Exact", "name": MODEL, "value": model}, *named]}
