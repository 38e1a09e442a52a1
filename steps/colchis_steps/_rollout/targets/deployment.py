"""The target ``deployment``: a Deployment and a Service a version. ``protocol`` says what the functions do."""

import contextlib
from collections.abc import Mapping

from colchis_steps._kube.cluster import Cluster
from colchis_steps._kube.pod_trouble import is_ready, starting, trouble
from colchis_steps._manifests.deployment import PORT, Deployed, service
from colchis_steps._manifests.objects import LABEL_MODEL, LABEL_VERSION, Object, version_name
from colchis_steps._manifests.runtime import pods
from colchis_steps._manifests.scaling import AUTOSCALER, BUDGET, autoscaler, budget
from colchis_steps._serving.client import Away, call
from colchis_steps._step.errors import InputError, TransientError

NAME = "deployment"
KIND = "Deployment"


def backend(model: str, version: int) -> tuple[str, int]:
    """Return the version's Service."""
    return version_name(model, version), PORT


def apply(cluster: Cluster, deployed: Deployed, config: str) -> None:
    """Apply Service and Deployment, and what keeps enough pods at work."""
    cluster.apply(service(deployed))
    owner = cluster.apply(pods(deployed, config))
    accompany(cluster, BUDGET, deployed.name, deployed.selector, budget(deployed, owner))
    accompany(cluster, AUTOSCALER, deployed.name, deployed.selector, autoscaler(deployed, owner))


def missing(cluster: Cluster, model: str, version: int) -> str:
    """Look at the Deployment and its pods."""
    name, what = version_name(model, version), f"version {version} of {model}"
    found = cluster.get(KIND, name)
    if found is None:
        raise TransientError(f"{KIND} {name} was removed while its pods started; run the rollout again")
    if is_ready(found):
        return ""
    pods = pods_of(cluster, model, version)
    why, hopeless = trouble(found, pods)
    if hopeless:
        raise InputError(f"{what} cannot be served: {why}; put that right and roll it out again")
    for pod in pods:
        if error := load_error(pod, model, version):
            raise InputError(f"{what} does not load: {error}; train it again, or serve it with another image")
    return why or starting(pods) or "its pods start"


def replicas(found: Object) -> int:
    """Return what the Deployment asks for."""
    return int(found["spec"]["replicas"])


def scaled(replicas: int, about: Object) -> Object:
    """Return a Deployment's replicas."""
    return {"metadata": {"annotations": about}, "spec": {"replicas": replicas}}


def remove(cluster: Cluster, model: str, version: int) -> None:
    """Remove Deployment and Service; what belongs to the Deployment goes with it."""
    for kind in (KIND, "Service"):
        cluster.discard(kind, version_name(model, version), {LABEL_MODEL: model})


def addresses(cluster: Cluster, model: str, version: int) -> list[str]:
    """Return the addresses of the pods that run."""
    hosts = [pod.get("status", {}).get("podIP", "") for pod in pods_of(cluster, model, version)]
    return [f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}" for host in hosts if host]


def pods_of(cluster: Cluster, model: str, version: int) -> list[Object]:
    """List the pods of a version."""
    return cluster.list("Pod", {LABEL_MODEL: model, LABEL_VERSION: str(version)})


def load_error(pod: Object, model: str, version: int) -> str:
    """Return what the server in a pod that is not ready says of the version; a cluster's outside hears nothing."""
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


def accompany(cluster: Cluster, kind: str, name: str, labels: Mapping[str, str], manifest: Object | None) -> None:
    """Make the object so, or remove the one that an earlier rollout of the version made. Raises as ``Cluster`` does."""
    if manifest:
        cluster.apply(manifest)
    else:
        cluster.discard(kind, name, labels)
