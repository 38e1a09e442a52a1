"""Objects that are sent to ask something, and that no cluster keeps: reviews of rights, and a pod as a dry run."""

from collections.abc import Mapping

from colchis_steps._manifests.objects import LOCKED_POD, READ_ONLY, Object

AUTHORIZATION = "authorization.k8s.io/v1"


def own_rights(attributes: Mapping[str, str]) -> Object:
    """Return the question whether who asks may do that; ``attributes`` are verb, group, resource and namespace."""
    kind = "SelfSubjectAccessReview"
    return {"apiVersion": AUTHORIZATION, "kind": kind, "spec": {"resourceAttributes": dict(attributes)}}


def account_s_rights(account: str, namespace: str, attributes: Mapping[str, str]) -> Object:
    """Return the question whether a service account of the namespace may do that."""
    return {
        "apiVersion": AUTHORIZATION,
        "kind": "LocalSubjectAccessReview",
        "metadata": {"namespace": namespace},
        "spec": {"user": f"system:serviceaccount:{namespace}:{account}", "resourceAttributes": dict(attributes)},
    }


def image_volume_pod() -> Object:
    """Return a pod that mounts an image: a server that does not know the field forgets it."""
    container = {
        "name": "probe",
        "image": "scratch.invalid/probe:1",
        "securityContext": READ_ONLY,
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
        "volumeMounts": [{"name": "model", "mountPath": "/models"}],
    }
    volume = {"name": "model", "image": {"reference": "scratch.invalid/model:1"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "colchis-doctor-"},
        "spec": {**LOCKED_POD, "containers": [container], "volumes": [volume]},
    }
