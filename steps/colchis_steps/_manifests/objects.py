"""Names, labels and pieces that several Kubernetes objects share."""

import re
from typing import Any

MANAGED = {"app.kubernetes.io/managed-by": "colchis"}
KINDS = {  # kind: its group and version, and how it stands in a path
    "ConfigMap": ("v1", "configmaps"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "Deployment": ("apps/v1", "deployments"),
    "GRPCRoute": ("gateway.networking.k8s.io/v1", "grpcroutes"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", "httproutes"),
    "ImagePullJob": ("apps.kruise.io/v1alpha1", "imagepulljobs"),
    "InferenceService": ("serving.kserve.io/v1beta1", "inferenceservices"),
    "Job": ("batch/v1", "jobs"),
    "JobSet": ("jobset.x-k8s.io/v1alpha2", "jobsets"),
    "ModelVersion": ("colchis.dev/v1", "modelversions"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "Pod": ("v1", "pods"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "PyTorchJob": ("kubeflow.org/v1", "pytorchjobs"),
    "Secret": ("v1", "secrets"),
    "SelfSubjectAccessReview": ("authorization.k8s.io/v1", "selfsubjectaccessreviews"),
    "Service": ("v1", "services"),
    "TFJob": ("kubeflow.org/v1", "tfjobs"),
    "TrainingRuntime": ("trainer.kubeflow.org/v1alpha1", "trainingruntimes"),
    "TrainJob": ("trainer.kubeflow.org/v1alpha1", "trainjobs"),
}


Object = dict[str, Any]


SCRATCH = "/tmp"  # noqa: S108 - an emptyDir of the pod's own
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


KEYS_AT = "/var/run/colchis/s3"
KEYS_FILE: Object = {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": f"{KEYS_AT}/credentials"}
KEYS_MOUNT: Object = {"name": "keys", "mountPath": KEYS_AT, "readOnly": True}
SETTINGS: Object = {"configMapRef": {"name": "colchis", "optional": True}}  # an environment; none of it is a secret


TRUST_MOUNT: Object = {"name": "trust", "mountPath": "/var/run/colchis/trust", "readOnly": True}
TRUST: Object = {"name": "trust", "configMap": {"name": "colchis-trust", "optional": True}}


def keys_volume(name: str, *earlier: str) -> Object:
    """Describe the volume with an identity's keys of the store.

    What ``earlier`` Secrets of earlier releases hold is taken for one release more where there are none: later ones of
    them go before.
    """
    own = {"name": f"colchis-s3-{name}", "optional": True, "items": [{"key": "credentials", "path": "credentials"}]}
    others = [{"name": other, "optional": True} for other in ("colchis-s3", *earlier)]
    return {"name": "keys", "projected": {"sources": [{"secret": secret} for secret in (*others, own)]}}


LABEL_MODEL, LABEL_VERSION, LABEL_RUN = "colchis.dev/model", "colchis.dev/version", "colchis.dev/run"


HELD_SINCE, REPLICAS = "colchis.dev/held-since", "colchis.dev/replicas"


KEPT = ("colchis.dev/", "serving.kserve.io/")  # annotations that are our wish, not the cluster's notes
READ_ONLY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def version_name(model: str, version: int) -> str:
    """Return the name of a version's Deployment and Service."""
    return f"colchis-{model}-{version}"


def annotation(name: str, path: str) -> Object:
    """Describe a file that holds an annotation of the pod."""
    return {"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{name}']"}}


def literal(text: str) -> str:
    """Return a word of a command line, or a variable's value, such that the kubelet expands no ``$(NAME)`` in it."""
    return text.replace("$", "$$")


def run_label(run: str) -> dict[str, str]:
    """Return the label of a run; an id that cannot be a label is left out."""
    return {LABEL_RUN: run} if re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", run, re.ASCII) else {}


def probe(path: str, period: int, failures: int) -> Object:
    """Describe a probe of the server."""
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def again(found: Object) -> Object:
    """Return the manifest that makes an object what it was when it was read."""
    metadata = {key: found["metadata"][key] for key in ("name", "labels")}
    about = found["metadata"].get("annotations") or {}
    metadata["annotations"] = {name: value for name, value in about.items() if name.startswith(KEPT)}
    return {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata, "spec": found["spec"]}
