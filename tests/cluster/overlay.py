"""The overlay with which the suite installs, as a team writes one: its images, endpoint, keys, registry, repository."""

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml
from tests.cluster.installed import (
    AWS,
    BUCKET,
    IMAGES,
    KANIKO,
    MANIFESTS,
    REPOSITORY,
    ROUTES,
    SETTINGS,
    TAG,
    Installation,
    Object,
    import_digits,
    kubectl,
)

from colchis_workflows._templates.overlays import set_parameter


def named(image: str) -> dict[str, str]:
    """Return an image of ``name:tag`` as kustomize has it."""
    name, _, tag = image.rpartition(":")
    return {"newName": name, "newTag": tag}


def overlay(directory: Path, namespace: str, settings: Mapping[str, str], level: str = "namespaced") -> None:
    """Write what a team adds to an overlay of ours: its images' tag, endpoint, keys, registry, repository."""
    base = (MANIFESTS / "overlays" / level).resolve()
    templates = {path.stem: yaml.safe_load(path.read_text()) for path in (MANIFESTS / "base").glob("colchis-*.yaml")}
    repository = {
        "s3": {
            "bucket": BUCKET,
            "endpoint": settings["AWS_ENDPOINT_URL_S3"].partition("://")[2],
            "insecure": settings["AWS_ENDPOINT_URL_S3"].startswith("http://"),
            "accessKeySecret": {"name": "colchis-s3", "key": "AWS_ACCESS_KEY_ID"},
            "secretKeySecret": {"name": "colchis-s3", "key": "AWS_SECRET_ACCESS_KEY"},
        }
    }
    secrets = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    documents: list[Object] = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "colchis"},
            "data": {key: value for key, value in settings.items() if key not in secrets},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "colchis-s3"},
            "stringData": {key: settings[key] for key in secrets},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "artifact-repositories",
                "annotations": {"workflows.argoproj.io/default-artifact-repository": "colchis"},
            },
            "data": {"colchis": yaml.safe_dump(repository)},
        },
    ]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [os.path.relpath(base, directory.resolve()), "settings.yaml"],
        "configurations": ["image-fields.yaml"],
        "images": [
            {"name": SETTINGS.image(name).rpartition(":")[0], "newName": f"{IMAGES}/{name}", "newTag": TAG}
            for name in ("steps", "train", "serve")
        ]
        + [{"name": SETTINGS.kaniko.rpartition(":")[0], **named(KANIKO)}],
        "patches": [
            set_parameter(templates["colchis-pipeline"], "repository", f"{REPOSITORY}/{namespace}"),
            set_parameter(templates["colchis-build-image"], "insecure-registry", "true"),
            set_parameter(templates["colchis-rollout"], "insecure-registry", "true"),
        ],
    }
    (directory / "settings.yaml").write_text(yaml.safe_dump_all(documents))
    (directory / "image-fields.yaml").write_text((base / "image-fields.yaml").read_text())
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))


@contextmanager
def installed(directory: Path, name: str, level: str = "namespaced") -> Iterator[Installation]:
    """Install in a new namespace with data in the bucket; afterwards nothing of it is left."""
    import boto3

    os.environ.update(AWS)
    client = boto3.client("s3")
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)
    namespace = f"colchis-{name}-{uuid.uuid4().hex[:6]}"
    here = Installation(namespace, f"s3://{BUCKET}/{namespace}", directory)
    here.data = import_digits(here.url)
    kubectl("create", "namespace", namespace)
    crd = "modelversions.colchis.dev"
    ours = crd not in kubectl("get", "crds", "--output=name")
    kubectl("apply", "--kustomize", str(MANIFESTS / "crd"))
    try:
        overlay(directory, namespace, AWS | ROUTES, level)
        kubectl("apply", "--kustomize", str(directory))
        yield here
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")
        if ours:
            kubectl("delete", "crd", crd, "--wait=false", "--ignore-not-found")
        for key in list(here.store.keys("")):
            here.store.delete(key)
