"""What serves a model by Seldon Core 1: a SeldonDeployment whose predictors are versions, and one more a header route.

Pure. Rendered only: Seldon Core may not be used in production without a licence since 2024, so it is not run here. The
containers are ours, asked by protocol v2; a mirror is a predictor with ``shadow``. A header leads to a version by a
SeldonDeployment of its own that takes part in the first one's address, as Ambassador has it.
"""

from collections.abc import Mapping

from colchis_steps._manifests.deployment import Deployed
from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.route import HeaderRoute
from colchis_steps._manifests.runtime import pods


def seldon_deployments(
    versions: Mapping[int, tuple[Deployed, str]],
    weights: Mapping[int, int],
    *,
    headers: tuple[HeaderRoute, ...] = (),
    mirror: int | None = None,
) -> list[Object]:
    """Describe a model.

    Args:
        versions: how each version is served, and the embedded server's configuration document.
        weights: per cent of the requests by version; they add up to 100.
        headers: requests that go to a version by a header, whatever its weight.
        mirror: the version that gets copies of all requests.
    """
    name = f"colchis-{next(iter(versions.values()))[0].model}"
    shares = {version: weight for version, weight in weights.items() if weight and version != mirror}
    predictors = [predictor(*versions[version]) | {"traffic": shares[version]} for version in sorted(shares)]
    if mirror is not None:
        predictors.append(predictor(*versions[mirror]) | {"shadow": True})
    found = [deployment(name, predictors, {})]
    for number, header in enumerate(headers, 1):
        about = {"ambassador-header": f"{header.name}: {header.value}", "ambassador-service-name": name}
        found.append(deployment(f"{name}-by-header-{number}", [predictor(*versions[header.version])], about))
    return found


def deployment(name: str, predictors: list[Object], annotations: Mapping[str, str]) -> Object:
    """Describe one SeldonDeployment; annotations are Seldon's own."""
    spec: Object = {"protocol": "v2", "predictors": predictors}
    if annotations:
        spec["annotations"] = {f"seldon.io/{key}": value for key, value in annotations.items()}
    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": name, "labels": predictors[0]["labels"]},
        "spec": spec,
    }


def predictor(deployed: Deployed, config: str) -> Object:
    """Describe a version's pods and their graph, which is the one container."""
    made = pods(deployed, config)["spec"]["template"]
    (container,) = made["spec"]["containers"]
    component: Object = {"metadata": {"annotations": made["metadata"]["annotations"]}, "spec": made["spec"]}
    if deployed.options.max_replicas:
        target = {"type": "Utilization", "averageUtilization": deployed.options.cpu_percent}
        component["hpaSpec"] = {
            "minReplicas": deployed.replicas,
            "maxReplicas": deployed.options.max_replicas,
            "metricsv2": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        }
    if deployed.options.min_available:
        component["pdbSpec"] = {"minAvailable": deployed.options.min_available}
    return {
        "name": f"version-{deployed.version}",
        "labels": made["metadata"]["labels"],
        "replicas": deployed.replicas,
        "componentSpecs": [component],
        "graph": {"name": container["name"], "type": "MODEL", "children": []},
    }
