"""The overlay with which the suite installs, as a team writes one: its images, endpoint, keys, registry, repository."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from tests.cluster.installed import (
    AWS,
    BUCKET,
    IMAGES,
    KANIKO,
    MANIFESTS,
    PATIENCE,
    REPOSITORY,
    ROUTES,
    SETTINGS,
    TAG,
    Installation,
    Object,
    import_digits,
    kubectl,
)

from colchis_workflows._templates.overlays import PACKS, set_parameter


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
            "accessKeySecret": {"name": "colchis-artifacts", "key": "accesskey"},
            "secretKeySecret": {"name": "colchis-artifacts", "key": "secretkey"},
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
            "metadata": {"name": "colchis-artifacts"},  # Argo's own key, for reports
            "stringData": {"accesskey": settings["AWS_ACCESS_KEY_ID"], "secretkey": settings["AWS_SECRET_ACCESS_KEY"]},
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
            for name in ("steps", "data", "train", "serve", "serve-onnx")
        ]
        + [{"name": SETTINGS.kaniko.rpartition(":")[0], **named(KANIKO)}],
        "patches": [
            *(set_parameter(templates[f"colchis-{name}"], "repository", f"{REPOSITORY}/{namespace}") for name in PACKS),
            set_parameter(templates["colchis-build-image"], "insecure-registry", "true"),
            set_parameter(templates["colchis-register"], "insecure-registry", "true"),
            set_parameter(templates["colchis-rollout"], "insecure-registry", "true"),
        ],
    }
    (directory / "settings.yaml").write_text(yaml.safe_dump_all(documents))
    (directory / "image-fields.yaml").write_text((base / "image-fields.yaml").read_text())
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))


def set_up(url: str, *flags: str) -> str:
    """Make the bucket and a key for each privilege; return what is printed."""
    command = [sys.executable, "-m", "colchis_steps.bucket", "setup", f"--store={url}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def remove(url: str) -> None:
    """Remove the bucket with all versions of what is in it, and the users that were made for it."""
    import boto3
    from minio import MinioAdmin
    from minio.credentials.providers import StaticProvider

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    place = boto3.session.Session().resource("s3").Bucket(bucket)
    if place in boto3.session.Session().resource("s3").buckets.all():
        place.object_versions.delete()
        place.delete()
    server = urlsplit(AWS["AWS_ENDPOINT_URL_S3"])
    keys = StaticProvider(AWS["AWS_ACCESS_KEY_ID"], AWS["AWS_SECRET_ACCESS_KEY"])
    admin = MinioAdmin(endpoint=server.netloc, secure=server.scheme == "https", credentials=keys)
    for name in json.loads(admin.user_list()):
        if name.startswith(f"colchis-{bucket}-{prefix}-"):
            admin.user_remove(name)
            admin.policy_remove(name)


@contextmanager
def installed(directory: Path, name: str, level: str = "namespaced") -> Iterator[Installation]:
    """Install in a new namespace with data in a bucket of its own; afterwards nothing of it is left."""
    import boto3

    os.environ.update(AWS)
    client = boto3.client("s3")
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)  # Argo's, for reports
    namespace = f"colchis-{name}-{uuid.uuid4().hex[:6]}"
    here = Installation(namespace, f"s3://{namespace}/team", directory)
    kubectl("create", "namespace", namespace)
    crd = "modelversions.colchis.dev"
    ours = crd not in kubectl("get", "crds", "--output=name")
    kubectl("apply", "--kustomize", str(MANIFESTS / "crd"))
    try:
        overlay(directory, namespace, AWS | ROUTES, level)
        kubectl("apply", "--kustomize", str(directory))
        set_up(here.url, "--apply", f"--namespace={namespace}")
        here.data = import_digits(here.url)
        yield here
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")
        if ours:
            kubectl("delete", "crd", crd, "--wait=false", "--ignore-not-found")
        remove(here.url)
