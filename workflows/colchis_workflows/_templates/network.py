"""Who reaches our pods, and whom the pods reach that run what a user wrote: NetworkPolicies of the base.

Nobody reaches a step. A training's workers reach each other, by the policy that stands beside each training. A served
model is reached at its ports. Code and models of users reach the name service, TLS, the usual port of a bucket and the
registry's; what else they need on a site (a bucket's or registry's other port, a cloud's metadata server for keys) an
overlay adds. The steps' own way out is open: where bucket, registry and gateway are is known to the site alone.
"""

from typing import Any

from colchis_workflows.settings import Settings

Object = dict[str, Any]
TLS, API_SERVER, BUCKET, REGISTRY, DNS = 443, 6443, 9000, 5000, 53
REST, GRPC = 8501, 8500
PART_OF, MANAGED_BY = "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by"
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
TRAINING = {NAME: "colchis-training"}  # the workers' pods of every kind of job
MODEL = {NAME: "colchis-model"}
BATCH = {NAME: "colchis-batch"}  # the pods of a batch's job
OWN_CODE = ("prepare", "train", "adopt", "evaluate", "batch")  # the steps in whose pods a user's code or model runs


def network_policies(settings: Settings) -> list[Object]:
    """Return the policies; each adds to what others allow, and what none allows is refused."""
    out = [_ports(TLS, API_SERVER, BUCKET), {"ports": [_port(DNS, "UDP"), _port(DNS)]}]
    serving = [_ports(TLS, BUCKET, REGISTRY), out[1]]
    steps = {"matchExpressions": [{"key": COMPONENT, "operator": "In", "values": list(OWN_CODE)}]}
    steps["matchLabels"] = {PART_OF: "colchis"}  # type: ignore[assignment] # Kubernetes has both beside each other
    parts: dict[str, Object] = {
        "colchis-steps": {"podSelector": {"matchLabels": {PART_OF: "colchis"}}, "ingress": []},
        "colchis-made": {"podSelector": {"matchLabels": {MANAGED_BY: "colchis"}}, "ingress": []},
        "colchis-models": {
            "podSelector": {"matchLabels": MODEL},
            "ingress": [_ports(REST, GRPC)],
            "egress": serving,
        },
        "colchis-own-code": {"podSelector": steps, "egress": out},
        "colchis-batches": {"podSelector": {"matchLabels": BATCH}, "egress": out},
        "colchis-workers": {
            "podSelector": {"matchLabels": TRAINING},
            "egress": [*out, {"to": [{"podSelector": {"matchLabels": TRAINING}}]}],
        },
    }
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "labels": settings.object_labels(name)},
            "spec": {"policyTypes": [way.capitalize() for way in ("ingress", "egress") if way in spec], **spec},
        }
        for name, spec in parts.items()
    ]


def _port(number: int, protocol: str = "TCP") -> Object:
    return {"port": number, "protocol": protocol}


def _ports(*numbers: int) -> Object:
    return {"ports": [_port(number) for number in numbers]}
