"""What serves a version by KServe: one InferenceService a version, whose predictor is the pod that a Deployment has.

Pure: values in, manifests out. Mode Standard (RawDeployment until 0.15) makes a Deployment and a Service
``<name>-predictor`` of it and needs no Knative. The model is mounted from its image, copied by our init container, or
(``volume: storage``) fetched by the ClusterStorageContainer ``colchis``, whose URIs begin with ``colchis+s3://``, so
that no other container answers for them. The label of visibility keeps KServe from making routes of its own.
"""

from colchis_steps._formats.keys import version_prefix
from colchis_steps._manifests.deployment import PORT, Deployed
from colchis_steps._manifests.objects import HELD_SINCE, REPLICAS, Object, literal
from colchis_steps._manifests.runtime import pods
from colchis_steps._step.errors import InputError

KSERVE = "serving.kserve.io"
STOP = f"{KSERVE}/stop"
LOCAL = {"networking.kserve.io/visibility": "cluster-local"}
CONTAINER = "kserve-container"  # the one to which KServe gives the model
SERVICE_PORT = 80


def inference_service(deployed: Deployed, config: str) -> Object:
    """Describe a version; ``config`` is the embedded server's configuration document.

    Raises:
        InputError: the model is to come from a store that is not a bucket.
    """
    made = pods(deployed, config)
    metadata, spec = made["metadata"], made["spec"]
    pod = spec["template"]["spec"]
    (server,) = pod["containers"]
    server["name"] = CONTAINER
    if deployed.volume == "storage":
        server["env"].append({"name": "STORAGE_URI", "value": literal(storage_uri(deployed))})
    autoscaler = {"autoscalerClass": "hpa" if deployed.options.max_replicas else "none"}
    about = {"deploymentMode": "Standard", **autoscaler, "stop": "false"}
    # KServe hands the object's annotations on to the pods, which would start anew with each note; these hide the notes
    hidden = {HELD_SINCE: "", REPLICAS: ""}
    predictor: Object = {
        "annotations": {**spec["template"]["metadata"]["annotations"], **hidden},
        "labels": spec["template"]["metadata"]["labels"],
        "minReplicas": deployed.replicas,
        "deploymentStrategy": {"type": "RollingUpdate", **spec["strategy"]},
        **pod,
    }
    if deployed.options.max_replicas:
        predictor |= {
            "maxReplicas": deployed.options.max_replicas,
            "scaleMetric": "cpu",
            "scaleTarget": deployed.options.cpu_percent,
        }
    return {
        "apiVersion": f"{KSERVE}/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": deployed.name,
            "labels": {**metadata["labels"], **LOCAL},
            "annotations": {**metadata["annotations"], **{f"{KSERVE}/{key}": value for key, value in about.items()}},
        },
        "spec": {"predictor": predictor},
    }


def knative(deployed: Deployed, config: str, percent: int) -> Object:
    """Describe a model as one InferenceService in mode Knative: a canary by revisions, and no pods without requests.

    There the model's versions share one object, of which KServe keeps the revision before; so its name has no number.
    """
    made = inference_service(deployed, config)
    metadata, predictor = made["metadata"], made["spec"]["predictor"]
    del predictor["deploymentStrategy"]  # revisions take its place
    for probe in ("startupProbe", "livenessProbe"):
        del predictor["containers"][0][probe]  # Knative probes by itself until a pod is ready
    predictor["containers"][0]["ports"] = [{"name": "http1", "containerPort": PORT}]
    predictor["containers"][0]["readinessProbe"]["httpGet"].pop("port")
    predictor |= {"minReplicas": 0, "canaryTrafficPercent": percent}
    metadata["name"] = f"colchis-{deployed.model}"
    metadata["annotations"][f"{KSERVE}/deploymentMode"] = "Knative"
    del metadata["annotations"][f"{KSERVE}/autoscalerClass"]
    return made


def storage_uri(deployed: Deployed) -> str:
    """Return the URI by which the ClusterStorageContainer ``colchis`` finds a version, and holds its files."""
    if not deployed.store.startswith("s3://"):
        raise InputError(f"the storage container reads buckets, not {deployed.store}; give --model-volume=image")
    return f"colchis+{deployed.store.rstrip('/')}/{version_prefix(deployed.model, deployed.version)}@{deployed.tree}"


def predictor_name(name: str) -> str:
    """Return the name of the Deployment and the Service that KServe makes of an InferenceService."""
    return f"{name}-predictor"


def shortcoming(found: Object) -> str:
    """Return what KServe reports as missing, from the conditions by type; "" where all is well."""
    status = found.get("status", {})
    if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
        return "KServe's controller has not answered yet; does it run?"
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    for kind in ("PredictorReady", "Ready"):
        if (one := conditions.get(kind, {})).get("status") != "True":
            return f"{kind} is {one.get('status', 'not reported')}, {one.get('message', 'without a reason')}"[:300]
    return ""
