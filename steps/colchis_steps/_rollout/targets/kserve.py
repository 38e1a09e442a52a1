"""The target ``kserve``: an InferenceService a version. ``protocol`` says what the functions do."""

from colchis_steps._kube.cluster import Cluster
from colchis_steps._kube.pod_trouble import is_ready, starting, trouble
from colchis_steps._manifests.deployment import Deployed
from colchis_steps._manifests.kserve import KSERVE, SERVICE_PORT, STOP, inference_service, predictor_name, shortcoming
from colchis_steps._manifests.objects import LABEL_MODEL, Object, version_name
from colchis_steps._manifests.scaling import BUDGET, budget
from colchis_steps._rollout.targets import deployment as _rollout_deployment
from colchis_steps._rollout.targets.deployment import accompany
from colchis_steps._step.errors import InputError, TransientError

NAME = "kserve"
KIND = "InferenceService"


def backend(model: str, version: int) -> tuple[str, int]:
    """Return the Service that KServe makes."""
    return predictor_name(version_name(model, version)), SERVICE_PORT


def apply(cluster: Cluster, deployed: Deployed, config: str) -> None:
    """Apply the InferenceService, which KServe scales by itself where asked to, and its disruption budget."""
    for kind in ("Deployment", "Service"):  # KServe takes over what has the name, whose ever it is
        cluster.own(kind, predictor_name(deployed.name), {LABEL_MODEL: deployed.model})
    owner = cluster.apply(inference_service(deployed, config))
    accompany(cluster, BUDGET, deployed.name, deployed.selector, budget(deployed, owner))


def missing(cluster: Cluster, model: str, version: int) -> str:
    """Look at the InferenceService, the Deployment that KServe makes of it, and its pods."""
    name, what = version_name(model, version), f"version {version} of {model}"
    found = cluster.get(KIND, name)
    if found is None:
        raise TransientError(f"{KIND} {name} was removed while its pods started; run the rollout again")
    deployment = cluster.get("Deployment", predictor_name(name))
    if deployment is None or not deployment["spec"]["replicas"]:
        return shortcoming(found) or "KServe has not made its Deployment yet"
    if is_ready(deployment):
        return shortcoming(found)
    pods = cluster.list("Pod", {f"{KSERVE}/inferenceservice": name})
    why, hopeless = trouble(deployment, pods)
    if hopeless:
        raise InputError(f"{what} cannot be served: {why}; put that right and roll it out again")
    for pod in pods:
        if error := _rollout_deployment.load_error(pod, model, version):
            raise InputError(f"{what} does not load: {error}; train it again, or serve it with another image")
    return why or starting(pods) or shortcoming(found) or "its pods start"


def replicas(found: Object) -> int:
    """Return what the InferenceService asks for."""
    if found["metadata"].get("annotations", {}).get(STOP) == "true":
        return 0
    return int(found["spec"]["predictor"].get("minReplicas", 1))


def scaled(replicas: int, about: Object) -> Object:
    """Stop it, or start it again with so many pods: only then does KServe go to 0 whatever scales it."""
    if not replicas:
        return {"metadata": {"annotations": {**about, STOP: "true"}}}
    predictor = {"minReplicas": replicas}
    return {"metadata": {"annotations": {**about, STOP: "false"}}, "spec": {"predictor": predictor}}


def addresses(cluster: Cluster, model: str, version: int) -> list[str]:
    """Return the addresses of the pods that run."""
    return _rollout_deployment.addresses(cluster, model, version)


def remove(cluster: Cluster, model: str, version: int) -> None:
    """Remove the InferenceService; what KServe made of it, and the budget, belong to it."""
    cluster.discard(KIND, version_name(model, version), {LABEL_MODEL: model})
