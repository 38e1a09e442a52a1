"""What serves a version on a plain cluster: a Deployment and a Service.

Pure: values in, manifests out. The model is mounted from its image (``volume: image``, Kubernetes 1.35, or 1.33 with
the feature gate) or copied out of it by an init container (``volume: copy``, any version). The server's configuration
is an annotation of the pod, which the kubelet hands to it as a file: there is no further object to keep and to remove.
"""

import re

import msgspec

from colchis_steps._kube import MANAGED, Object

MODELS = "/models"
SCRATCH = "/tmp"  # noqa: S108 - an emptyDir of the pod's own
CONFIG = "/etc/colchis"
LOGIN = "/var/run/colchis/registry"
PULL_SECRET = "colchis-registry"  # noqa: S105 - a name; where no such Secret is, images are pulled without it
USER = 65532
LOCKED_POD: Object = {  # what every pod that the steps make has: no token, and no root
    "automountServiceAccountToken": False,
    "imagePullSecrets": [{"name": PULL_SECRET}],
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}
PORT = 8501
LABEL_MODEL, LABEL_VERSION, LABEL_RUN = "colchis.dev/model", "colchis.dev/version", "colchis.dev/run"
HELD_SINCE, REPLICAS = "colchis.dev/held-since", "colchis.dev/replicas"
IMAGE, SERVING = "colchis.dev/image", "colchis.dev/serving"
READ_ONLY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
RESOURCES = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}


class Deployed(msgspec.Struct, frozen=True):
    """One version of a model as it is served."""

    model: str
    version: int
    run: str  # that made the version
    image: str  # by digest
    serve_image: str
    replicas: int = 1
    volume: str = "image"  # or copy
    insecure: bool = False  # copy over plain HTTP

    @property
    def name(self) -> str:
        """Give the name of its Deployment and of its Service."""
        return version_name(self.model, self.version)

    @property
    def path(self) -> str:
        """Give the directory of its files in the pod."""
        return f"{MODELS}/{self.model}/{self.version}"

    @property
    def selector(self) -> dict[str, str]:
        """Give the labels that its pods, and only they, have."""
        return {LABEL_MODEL: self.model, LABEL_VERSION: str(self.version)}


def version_name(model: str, version: int) -> str:
    """Give the name of a version's Deployment and Service."""
    return f"colchis-{model}-{version}"


def deployment(deployed: Deployed, serving_config: str) -> Object:
    """Describe the pods of a version; ``serving_config`` is the server's configuration document."""
    labels = {**MANAGED, **deployed.selector, **run_label(deployed.run), "app.kubernetes.io/name": "colchis-model"}
    image = {"name": "model", "image": {"reference": deployed.image, "pullPolicy": "IfNotPresent"}}
    mount: Object = {"name": "model", "mountPath": deployed.path, "subPath": "models/1", "readOnly": True}
    login = {
        "secretName": PULL_SECRET,
        "optional": True,
        "items": [{"key": ".dockerconfigjson", "path": "config.json"}],
    }
    volumes: list[Object] = [
        image,
        {"name": "tmp", "emptyDir": {}},
        {"name": "config", "downwardAPI": {"items": [annotation(SERVING, "config.json")]}},
    ]
    if deployed.volume == "copy":
        mount = {"name": "model", "mountPath": f"{MODELS}/{deployed.model}", "readOnly": True}
        volumes[0] = {"name": "model", "emptyDir": {}}
        volumes.append({"name": "registry", "secret": login})
    pod: Object = {
        **LOCKED_POD,
        "volumes": volumes,
        "initContainers": [copier(deployed)] if deployed.volume == "copy" else [],
        "containers": [server(deployed, mount)],
    }
    about = {IMAGE: deployed.image, SERVING: serving_config}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployed.name, "labels": labels, "annotations": {IMAGE: deployed.image}},
        "spec": {
            "replicas": deployed.replicas,
            "selector": {"matchLabels": deployed.selector},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels, "annotations": about}, "spec": pod},
        },
    }


def server(deployed: Deployed, mount: Object) -> Object:
    """Describe the container that serves; before it ends it goes on for as long as gateways may still send to it."""
    return {
        "name": "serve",
        "image": deployed.serve_image,
        "command": ["python", "-m", "colchis_steps.serve"],
        "args": [f"--config={CONFIG}/config.json", "--host=0.0.0.0", f"--port={PORT}"],
        "env": [{"name": "HOME", "value": SCRATCH}, {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": probe("/v2/health/ready", period=1, failures=180),
        "readinessProbe": probe("/v2/health/ready", period=2, failures=3),
        "livenessProbe": probe("/v2/health/live", period=10, failures=6),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "3"]}}},
        "resources": RESOURCES,
        "securityContext": READ_ONLY,
        "volumeMounts": [
            mount,
            {"name": "config", "mountPath": CONFIG, "readOnly": True},
            {"name": "tmp", "mountPath": SCRATCH},
        ],
    }


def copier(deployed: Deployed) -> Object:
    """Describe the init container that copies the model out of its image, where image volumes are not to be had."""
    return {
        "name": "model",
        "image": deployed.serve_image,
        "command": ["python", "-m", "colchis_steps.unpack"],
        "args": [
            f"--image={deployed.image}",
            f"--to={deployed.path}",
            f"--insecure-registry={str(deployed.insecure).lower()}",
        ],
        "env": [{"name": "HOME", "value": SCRATCH}, {"name": "DOCKER_CONFIG", "value": LOGIN}],
        "resources": RESOURCES,
        "securityContext": READ_ONLY,
        "volumeMounts": [
            {"name": "model", "mountPath": f"{MODELS}/{deployed.model}"},
            {"name": "registry", "mountPath": LOGIN, "readOnly": True},
            {"name": "tmp", "mountPath": SCRATCH},
        ],
    }


def annotation(name: str, path: str) -> Object:
    """Describe a file that holds an annotation of the pod."""
    return {"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{name}']"}}


def run_label(run: str) -> dict[str, str]:
    """Give the label of a run; an id that cannot be a label is left out."""
    return {LABEL_RUN: run} if re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", run, re.ASCII) else {}


def probe(path: str, period: int, failures: int) -> Object:
    """Describe a probe of the server."""
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def service(deployed: Deployed) -> Object:
    """Describe the address of a version's pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": deployed.name, "labels": {**MANAGED, **deployed.selector}},
        "spec": {"selector": deployed.selector, "ports": [{"name": "http", "port": PORT, "targetPort": "http"}]},
    }


def again(found: Object) -> Object:
    """Give the manifest that makes an object what it was when it was read."""
    metadata = {key: found["metadata"][key] for key in ("name", "labels")}
    about = found["metadata"].get("annotations") or {}
    metadata["annotations"] = {name: value for name, value in about.items() if name.startswith("colchis.dev/")}
    return {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata, "spec": found["spec"]}
