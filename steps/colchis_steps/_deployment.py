"""What serves a version on a plain cluster: a Deployment and a Service a version, one HTTPRoute a model.

Pure: values in, manifests out. The model is mounted from its image (``volume: image``, Kubernetes 1.35, or 1.33 with
the feature gate) or copied out of it by an init container (``volume: copy``, any version).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from colchis_steps._kube import MANAGED, Object

MODELS = "/models"
SCRATCH = "/tmp"  # noqa: S108 - an emptyDir of the pod's own
PORT = 8501
LABEL_MODEL, LABEL_VERSION, LABEL_RUN = "colchis.dev/model", "colchis.dev/version", "colchis.dev/run"
HELD_SINCE = "colchis.dev/held-since"
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


class Served(msgspec.Struct):
    """One version of a model as it is served."""

    model: str
    version: int
    run: str
    image: str  # by digest
    serve_image: str
    replicas: int = 1
    volume: str = "image"  # or copy
    user: int = 65532
    pull_secret: str = ""
    resources: dict[str, Any] = msgspec.field(
        default_factory=lambda: {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}}
    )

    @property
    def name(self) -> str:
        """Give the name of its Deployment and of its Service."""
        return f"colchis-{self.model}-{self.version}"

    @property
    def selector(self) -> dict[str, str]:
        """Give the labels that its pods, and only they, have."""
        return {LABEL_MODEL: self.model, LABEL_VERSION: str(self.version)}


def deployment(served: Served, serving_config: str) -> Object:
    """Describe the pods of a version; ``serving_config`` is the server's configuration document."""
    labels = {**MANAGED, **served.selector, LABEL_RUN: served.run, "app.kubernetes.io/name": "colchis-model"}
    target = f"{MODELS}/{served.model}/{served.version}"
    mount = {"name": "model", "mountPath": target, "readOnly": True}
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": served.user,
            "fsGroup": served.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    if served.volume == "image":
        mount["subPath"] = "models/1"
        pod["volumes"].append({"name": "model", "image": {"reference": served.image, "pullPolicy": "IfNotPresent"}})
    else:
        pod["volumes"].append({"name": "model", "emptyDir": {}})
        pod["initContainers"] = [copier(served, target)]
    if served.pull_secret:
        pod["imagePullSecrets"] = [{"name": served.pull_secret}]
    pod["containers"] = [
        {
            "name": "serve",
            "image": served.serve_image,
            "command": ["python", "-m", "colchis_steps.serve"],
            "args": ["--config-json=$(SERVING_CONFIG)", "--host=0.0.0.0", f"--port={PORT}"],
            "env": [{"name": "SERVING_CONFIG", "value": serving_config}, {"name": "HOME", "value": SCRATCH}],
            "ports": [{"name": "http", "containerPort": PORT}],
            "startupProbe": probe("/v2/health/ready", period=1, failures=180),
            "readinessProbe": probe("/v2/health/ready", period=2, failures=3),
            "livenessProbe": probe("/v2/health/live", period=10, failures=6),
            "resources": served.resources,
            "securityContext": CONTAINER_SECURITY,
            "volumeMounts": [mount, {"name": "tmp", "mountPath": SCRATCH}],
        }
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": served.name, "labels": labels, "annotations": {"colchis.dev/image": served.image}},
        "spec": {
            "replicas": served.replicas,
            "selector": {"matchLabels": served.selector},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": 300,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def copier(served: Served, target: str) -> Object:
    """Describe the init container that copies the model out of its image, where image volumes are not to be had."""
    return {
        "name": "model",
        "image": served.serve_image,
        "command": ["python", "-m", "colchis_steps.unpack"],
        "args": [f"--image={served.image}", f"--to={target}"],
        "env": [{"name": "HOME", "value": SCRATCH}, {"name": "DOCKER_CONFIG", "value": "/docker"}],
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "model", "mountPath": target}, {"name": "tmp", "mountPath": SCRATCH}],
    }


def probe(path: str, period: int, failures: int) -> Object:
    """Describe a probe of the server."""
    return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "failureThreshold": failures}


def service(served: Served) -> Object:
    """Describe the address of a version's pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": served.name, "labels": {**MANAGED, **served.selector}},
        "spec": {"selector": served.selector, "ports": [{"name": "http", "port": PORT, "targetPort": "http"}]},
    }


def route(model: str, weights: Mapping[int, int], gateway: tuple[str, str], kept: tuple[int, ...] = ()) -> Object:
    """Describe who answers for a model: weights by version; each version in ``kept`` answers under its own path too.

    Args:
        model: the model's name.
        weights: percent by version; they add up to 100.
        gateway: namespace and name.
        kept: versions reachable by ``/versions/<n>`` though they have no weight.
    """
    if sum(weights.values()) != 100:
        raise ValueError(f"weights {dict(weights)} do not add up to 100")
    shared = [{"name": f"colchis-{model}-{v}", "port": PORT, "weight": w} for v, w in sorted(weights.items())]
    rules = [
        {
            "matches": [prefix(f"/v1/models/{model}/versions/{v}"), prefix(f"/v2/models/{model}/versions/{v}")],
            "backendRefs": [{"name": f"colchis-{model}-{v}", "port": PORT}],
        }
        for v in sorted({*weights, *kept})
    ]
    rules += [  # TensorFlow Serving's verbs follow a colon, which a prefix match does not take for a path separator
        {
            "matches": [
                {"path": {"type": "Exact", "value": f"/v1/models/{model}:predict"}},
                prefix(f"/v1/models/{model}"),
                prefix(f"/v2/models/{model}"),
                prefix(f"/board/{model}"),
            ],
            "backendRefs": shared,
        }
    ]
    rules[:-1] = [
        {
            **rule,
            "matches": [
                *rule["matches"],
                {"path": {"type": "Exact", "value": f"{rule['matches'][0]['path']['value']}:predict"}},
            ],
        }
        for rule in rules[:-1]
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": f"colchis-{model}", "labels": {**MANAGED, LABEL_MODEL: model}},
        "spec": {"parentRefs": [{"namespace": gateway[0], "name": gateway[1]}], "rules": rules},
    }


def prefix(path: str) -> Object:
    """Match a path and all below it."""
    return {"path": {"type": "PathPrefix", "value": path}}


def complaint(pods: list[Object]) -> str:
    """Say in a few words why a version's pods are not ready, or nothing that is known yet."""
    for pod in pods:
        status = pod.get("status", {})
        for found in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            waiting = found.get("state", {}).get("waiting") or {}
            ended = found.get("lastState", {}).get("terminated") or found.get("state", {}).get("terminated") or {}
            if ended and ended.get("exitCode"):
                told = str(ended.get("message") or ended.get("reason", "")).strip()
                return f"{found['name']} ended with code {ended['exitCode']}: {told}"[:300]
            if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
                return f"{found['name']} waits: {waiting['reason']} {waiting.get('message', '')}"[:300]
        for condition in status.get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return f"{pod['metadata']['name']} is not scheduled: {condition.get('message', '')}"[:300]
    return ""
