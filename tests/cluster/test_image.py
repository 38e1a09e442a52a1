"""Model images on the cluster's own container runtime: mounted as a volume, and run where they stand on a base."""

import hashlib
import json
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.installed import KANIKO, MANIFESTS, NEEDS_CLUSTER, REPOSITORY, kubectl, until
from tests.literal import as_given

from colchis_steps._oci.repository import open_repository
from colchis_steps.build_image import main as build_image
from colchis_workflows.build_image import CONTEXT

pytestmark = NEEDS_CLUSTER
PYTHON = "docker.io/library/python:3.13-slim"
BASE = f"{REPOSITORY.partition('/')[0]}/library/python:3.13-slim"
FILES = {
    "saved_model.pb": b"node" * 50_000,  # becomes a layer of zstd
    "variables/variables.data-00000-of-00001": random.Random(1).randbytes(300_000),
    "assets/a name, ünïcode": b"",
    "assets/" + "n" * 255: b"long",
}
TELL = """
import hashlib, json, os, sys
top = sys.argv[1]
found = {}
for at, _, names in os.walk(top):
    for name in names:
        path = os.path.join(at, name)
        found[os.path.relpath(path, top)] = hashlib.sha256(open(path, "rb").read()).hexdigest()
print(json.dumps(found))
"""


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"image-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def pod(name: str, image: str, volume: str = "") -> dict[str, Any]:
    """Return a pod that prints the sha256 of each file of the model; it runs as no root, as ours do."""
    mounts = [{"name": "model", "mountPath": "/models/1", "subPath": "models/1"}] if volume else []
    volumes = [{"name": "model", "image": {"reference": volume, "pullPolicy": "IfNotPresent"}}] if volume else []
    container = {"name": "main", "image": image, "command": ["python", "-c", TELL, "/models/1"], "volumeMounts": mounts}
    spec = {
        "containers": [container],
        "volumes": volumes,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsUser": 1000, "runAsNonRoot": True},
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def test_one_push_is_mounted_as_a_volume_and_runs_on_a_base(namespace: str, tmp_path: Path) -> None:
    for path, content in FILES.items():
        (tmp_path / "model" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / path).write_bytes(content)
    flags = [f"--store=file://{tmp_path}/store", "--run=r", f"--from={tmp_path}/model", "--insecure-registry=true"]
    place = [f"--repository={REPOSITORY}", f"--model={namespace}", "--version=1", f"--base={BASE}"]
    paths = [f"--image-path={tmp_path}/image", f"--based-image-path={tmp_path}/based"]
    assert build_image([*flags, *place, *paths]) == 0
    plain, based = ((tmp_path / name).read_text() for name in ("image", "based"))
    pods = [pod("volume", PYTHON, plain), pod("based", based)]
    kubectl(
        "--namespace", namespace, "apply", "--filename=-", given={"apiVersion": "v1", "kind": "List", "items": pods}
    )
    wanted = {path: hashlib.sha256(content).hexdigest() for path, content in FILES.items()}
    for name in ("volume", "based"):
        until(120, f"pod {name}", lambda name=name: ended(namespace, name))  # type: ignore[misc]
        assert json.loads(kubectl("--namespace", namespace, "logs", name)) == wanted


def ended(namespace: str, name: str) -> bool:
    found = json.loads(kubectl("--namespace", namespace, "get", "pod", name, "--output=json"))
    assert found["status"]["phase"] != "Failed", found["status"]
    return bool(found["status"]["phase"] == "Succeeded")


def kaniko_pod(name: str, namespace: str, repository: str) -> dict[str, Any]:
    """Return a pod whose kaniko is the template's, on a context of one file."""
    rendered = yaml.safe_load((MANIFESTS / "base/colchis-build-image.yaml").read_text())["spec"]["templates"]
    (container,) = [made["container"] for made in rendered if made["name"] == "kaniko"]
    told = {"repository": repository, "model": namespace, "version": "1", "insecure-registry": "true"}

    def filled(word: str) -> str:
        return as_given(word, told)

    write = f"mkdir {CONTEXT}/context && echo graph > {CONTEXT}/context/saved_model.pb && "
    write += f"printf 'FROM scratch\\nCOPY saved_model.pb /models/1/saved_model.pb\\n' > {CONTEXT}/Dockerfile"
    mounts = [{"name": "context", "mountPath": CONTEXT}]
    main = {
        "name": "main",
        "image": KANIKO,
        "args": [filled(word) for word in container["args"]],
        "volumeMounts": mounts,
        **{key: container[key] for key in ("command", "terminationMessagePolicy", "securityContext")},
    }
    context = {"name": "context", "image": PYTHON, "command": ["sh", "-c", write], "volumeMounts": mounts}
    spec = {
        "initContainers": [context],
        "containers": [main],
        "volumes": [{"name": "context", "emptyDir": {}}],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def test_kanikos_last_words_are_the_digest_or_why_there_is_none(namespace: str) -> None:
    away = f"{REPOSITORY.partition(':')[0]}:1/models"
    pods = [kaniko_pod("pushes", namespace, REPOSITORY), kaniko_pod("fails", namespace, away)]
    listed = {"apiVersion": "v1", "kind": "List", "items": pods}
    kubectl("--namespace", namespace, "apply", "--filename=-", given=listed)
    words = {}
    for name in ("pushes", "fails"):
        words[name] = until(120, f"pod {name}", lambda name=name: last_words(namespace, name))  # type: ignore[misc]
    assert words["pushes"] == open_repository(f"{REPOSITORY}/{namespace}", insecure=True).tagged("1")
    assert away in words["fails"].splitlines()[-1]


def last_words(namespace: str, name: str) -> str | None:
    """Return the message of the pod's container once it has ended."""
    found = json.loads(kubectl("--namespace", namespace, "get", "pod", name, "--output=json"))
    (status,) = found["status"].get("containerStatuses", [{}])
    ended = status.get("state", {}).get("terminated")
    return str(ended.get("message", "")) if ended else None
