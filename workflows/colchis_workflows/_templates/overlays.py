"""The kustomize overlays: what an installation adds to the base.

``quickstart``  everything to try Colchis in a namespace of its own, with MinIO in the cluster and its sample password
``namespaced``  the base alone, for a team's namespace: nothing cluster-wide, no credentials
``hardened``    for a namespace that enforces Pod Security's restricted profile: no pod is root, and admission policies,
                which an administrator of the cluster applies, hold what the accounts with a token make
"""

from collections.abc import Sequence
from typing import Any

import yaml

from colchis_workflows._templates.access import KEYS
from colchis_workflows._templates.admission import LABEL, policies
from colchis_workflows._templates.served_digests import component
from colchis_workflows._templates.step import KEYS_SECRET
from colchis_workflows.settings import Settings

Object = dict[str, Any]
IMAGES = ("steps", "data", "train", "serve", "serve-onnx")
PATHS = (
    "spec/arguments/parameters/value",
    "spec/templates/container/image",
    "spec/templates/container/env/value",  # where a step is told of an image
    "spec/templates/initContainers/image",
    "spec/templates/inputs/parameters/default",
)
# kustomize's `images:` knows Deployments and the like only; this tells it where workflows hold images
IMAGE_FIELDS: Object = {"images": [{"path": path, "kind": "WorkflowTemplate"} for path in PATHS]}
KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
ARTIFACTS = "colchis-artifacts"  # the Secret with Argo's own keys, for reports
COMPONENT = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
PACKS = ("pipeline", "adopt")  # what a user submits, and which says where models are packed to
ENDPOINT = "http://minio.minio.svc:9000"
GATEWAY = {"COLCHIS_GATEWAY": "traefik/models", "COLCHIS_GATEWAY_URL": "http://traefik.traefik.svc"}


def overlays(settings: Settings, templates: Sequence[Object]) -> dict[str, list[Object]]:
    """Return each overlay file's documents by its path; ``templates`` are the base's, which patches find places in."""
    digests = dict(settings.digests)
    images = [
        {"name": f"{settings.registry}/{name}", "newName": f"{settings.registry}/{name}"}
        | ({"digest": digests[name]} if name in digests else {"newTag": settings.tag})
        for name in IMAGES
    ]
    executor, _, tag = settings.kaniko.rpartition(":")
    images.append({"name": executor, "newName": executor, "newTag": tag})
    common = KUSTOMIZATION | {"resources": ["../../base"], "configurations": ["image-fields.yaml"], "images": images}
    by_name = {template["metadata"]["name"]: template for template in templates}
    building = [*PACKS, "build-image"]
    direct = [set_parameter(by_name[f"colchis-{name}"], "builder", "direct") for name in building]
    patches = [
        *direct,
        *(
            set_parameter(by_name[f"colchis-{name}"], "repository", "registry.registry.svc:5000/models")
            for name in PACKS
        ),
        *(
            set_parameter(by_name[f"colchis-{name}"], "insecure-registry", "true")
            for name in ("build-image", "register", "rollout")
        ),
    ]
    quickstart = {
        "namespace": "colchis",
        "resources": ["../../base", "minio.yaml", "namespace.yaml"],
        "patches": patches,
    }
    hardened = {
        "namespace": "colchis",
        "resources": ["../../base", "namespace.yaml"],
        "components": ["../../components/admission"],
        "patches": direct,
    }
    return {
        "overlays/namespaced/kustomization.yaml": [common],
        "overlays/namespaced/image-fields.yaml": [IMAGE_FIELDS],
        "overlays/quickstart/kustomization.yaml": [common | quickstart],
        "overlays/quickstart/image-fields.yaml": [IMAGE_FIELDS],
        "overlays/quickstart/namespace.yaml": [namespace("baseline")],
        "overlays/hardened/kustomization.yaml": [common | hardened],
        "overlays/hardened/image-fields.yaml": [IMAGE_FIELDS],
        "overlays/hardened/namespace.yaml": [namespace("restricted", admission=True)],
        "components/admission/kustomization.yaml": [COMPONENT | {"resources": ["policies.yaml"]}],
        "components/admission/policies.yaml": policies(),
        "components/served-digests/kustomization.yaml": [COMPONENT | {"resources": ["policy.yaml"]}],
        "components/served-digests/policy.yaml": component(settings),
        "overlays/quickstart/minio.yaml": _minio(),
    }


def namespace(enforced: str, *, admission: bool = False) -> Object:
    """Return a namespace of this Pod Security level, which warns of what the restricted one would refuse."""
    level = "pod-security.kubernetes.io"
    labels = {f"{level}/enforce": enforced, f"{level}/warn": "restricted"} | ({LABEL: "enforced"} if admission else {})
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "colchis", "labels": labels}}


def set_parameter(template: Object, name: str, value: str) -> Object:
    """Return the patch that sets a parameter's default, where it is an argument and where it is an input."""
    spec = template["spec"]
    places = [("/spec/arguments/parameters", "value", spec["arguments"]["parameters"])]
    for number, inner in enumerate(spec["templates"]):
        if name in {given["name"] for given in inner.get("inputs", {}).get("parameters", []) if "default" in given}:
            path = f"/spec/templates/{number}/inputs/parameters"
            places.append((path, "default", inner["inputs"]["parameters"]))
    patch = [
        {"op": "replace", "path": f"{path}/{[p['name'] for p in found].index(name)}/{field}", "value": value}
        for path, field, found in places
    ]
    text = yaml.safe_dump(patch, sort_keys=False)
    return {"target": {"kind": template["kind"], "name": template["metadata"]["name"]}, "patch": text}


def _minio() -> list[Object]:
    """Return the endpoint and the well-known sample password of a MinIO that holds nothing worth a secret."""

    def key(name: str) -> Object:
        return {"name": ARTIFACTS, "key": name}

    user, password = "admin", "password"
    credentials = f"[default]\naws_access_key_id = {user}\naws_secret_access_key = {password}\n"
    repository = {
        "s3": {
            "bucket": "colchis",
            "endpoint": ENDPOINT.removeprefix("http://"),
            "insecure": True,
            "createBucketIfNotPresent": {},
            "accessKeySecret": key("accesskey"),
            "secretKeySecret": key("secretkey"),
        }
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "colchis"},
            "data": {"AWS_ENDPOINT_URL_S3": ENDPOINT, "AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1"}
            | GATEWAY,
        },
        _secret(ARTIFACTS, accesskey=user, secretkey=password),
        *(_secret(f"{KEYS_SECRET}-{name}", credentials=credentials) for name in KEYS),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "artifact-repositories",
                "annotations": {"workflows.argoproj.io/default-artifact-repository": "colchis"},
            },
            "data": {"colchis": yaml.safe_dump(repository, sort_keys=False)},
        },
    ]


def _secret(name: str, **values: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
