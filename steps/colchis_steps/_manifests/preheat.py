"""Bring a model's image to the nodes before traffic moves to it, so that no pod that is added later waits for a pull.

OpenKruise's ImagePullJob does it where the cluster has that kind; elsewhere a short-lived DaemonSet, whose pods mount
the image and sleep. It never stops a rollout: what is late is reported, counted and left to the pods' own pull.
"""

import logging

from colchis_steps._manifests.deployment import Deployed, model_volumes
from colchis_steps._manifests.objects import LABEL_MODEL, LOCKED_POD, MANAGED, READ_ONLY, SCRATCH, Object

DAEMON_SET, PULL_JOB = "DaemonSet", "ImagePullJob"


TINY = {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}}
log = logging.getLogger("colchis")


def preheat_name(deployed: Deployed) -> str:
    """Return the name of what pulls a version's image."""
    return f"{deployed.name}-preheat"


def labels(deployed: Deployed) -> dict[str, str]:
    """Return its labels; not the version's, by which a Service finds the pods that serve."""
    return {**MANAGED, LABEL_MODEL: deployed.model, "app.kubernetes.io/component": "preheat"}


def daemon_set(deployed: Deployed) -> Object:
    """Describe one pod a node that mounts the model's image, and has the server's image as its own."""
    selector = {"colchis.dev/preheat": deployed.name}
    volumes, mounts = model_volumes(deployed)
    container = {
        "name": "sleep",
        "image": deployed.serve_image,
        "command": ["sleep", "infinity"],
        "resources": TINY,
        "securityContext": READ_ONLY,
        "volumeMounts": [*mounts, {"name": "tmp", "mountPath": SCRATCH}],
    }
    pod = {
        **LOCKED_POD,
        "terminationGracePeriodSeconds": 1,
        "volumes": [*volumes, {"name": "tmp", "emptyDir": {"sizeLimit": "1Mi"}}],
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": DAEMON_SET,
        "metadata": {"name": preheat_name(deployed), "labels": labels(deployed)},
        "spec": {
            "selector": {"matchLabels": selector},
            "template": {"metadata": {"labels": {**labels(deployed), **selector}}, "spec": pod},
        },
    }


def pull_job(deployed: Deployed, seconds: float) -> Object:
    """Describe OpenKruise's job (apps.kruise.io/v1alpha1), which pulls without a pod."""
    return {
        "apiVersion": "apps.kruise.io/v1alpha1",
        "kind": PULL_JOB,
        "metadata": {"name": preheat_name(deployed), "labels": labels(deployed)},
        "spec": {
            "image": deployed.image,
            "parallelism": 10,
            "pullSecrets": [secret["name"] for secret in LOCKED_POD["imagePullSecrets"]],
            "pullPolicy": {"backoffLimit": 3, "timeoutSeconds": round(seconds)},
            "completionPolicy": {
                "type": "Always",
                "activeDeadlineSeconds": round(seconds),
                "ttlSecondsAfterFinished": 600,
            },
        },
    }
