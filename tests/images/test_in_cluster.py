"""The images as pods run them: not root, nothing writable but /tmp.

They are where the manifests look for them, or at the prefix that ``COLCHIS_IMAGES`` gives.
"""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.images.imported import modules

from colchis_workflows.settings import Settings

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
STEPS = sorted(
    path.stem for path in (ROOT / "steps/colchis_steps").glob("[a-z]*.py") if "def main(" in path.read_text()
)
ASK_ALL = """
import json, os, subprocess, sys
if "rollout" in sys.argv:
    import kubernetes.client, kubernetes.config, kubernetes.watch
def ask(step):
    done = subprocess.run([sys.executable, "-m", f"colchis_steps.{step}", "--help"], capture_output=True, text=True)
    return done.stderr[-500:] if done.returncode else ""
def writable(path):
    try:
        open(path + "/written", "w").close()
    except OSError:
        return False
    return True
json.dump({
    "user": os.getuid(),
    "writable": [path for path in ("/", "/opt/venv", "/tmp", os.environ["HOME"]) if writable(path)],
    "failed": {step: said for step in sys.argv[1:] if (said := ask(step))},
}, sys.stdout)
"""
ARROW = """
import io, PIL.Image, datasketches, pyarrow as pa, pyarrow.compute, pyarrow.csv, pyarrow.parquet as pq
pq.write_table(pa.table({"x": [1, 2]}), "/tmp/x.parquet", compression="zstd")
print(pq.read_table("/tmp/x.parquet")["x"].to_pylist())
"""
TENSORFLOW = """
import json, sys, tensorflow as tf, keras, numpy
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.export("/tmp/model", verbose=False)
compiled = tf.function(lambda x: x + x, jit_compile=True)(tf.ones(2)).numpy().tolist()
signature = tf.saved_model.load("/tmp/model").signatures["serving_default"]
json.dump({"compiled": compiled, "outputs": [list(t.shape) for t in signature(tf.zeros((3, 4))).values()]}, sys.stdout)
"""


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    name = f"colchis-images-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def run(namespace: str, image: str, *command: str) -> str:
    """Run a pod locked down as the templates' pods are, and give its standard output."""
    settings = Settings()
    name = f"{image}-{uuid.uuid4().hex[:6]}"
    container = {
        "name": "main",
        "image": f"{os.environ.get('COLCHIS_IMAGES', settings.registry)}/{image}:{settings.tag}",
        "imagePullPolicy": "Always",  # a tag that is pushed anew keeps its name
        "command": list(command),
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {
            "runAsNonRoot": True,  # without runAsUser: the image itself must say a number
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    metadata = {"name": name, "namespace": namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    until = time.monotonic() + 120
    while (phase := kubectl("-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.phase}")) != "Succeeded":
        status = kubectl("-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.containerStatuses}")
        assert phase != "Failed", kubectl("-n", namespace, "logs", name)
        assert "ImagePull" not in status, f"push the images first (make images PUSH=…): {status}"
        assert time.monotonic() < until, status
        time.sleep(0.3)
    # logs mixes the two streams; what is asked for is the last line
    return kubectl("-n", namespace, "logs", name).splitlines()[-1]


@pytest.mark.parametrize(
    ("image", "steps"),
    [
        *((image, STEPS) for image in ("steps", "data", "train", "serve", "storage")),
        ("serve-onnx", ["serve", "unpack"]),
    ],
)
def test_every_step_starts_as_nobody_on_a_read_only_root(namespace: str, image: str, steps: list[str]) -> None:
    said = json.loads(run(namespace, image, "python", "-c", ASK_ALL, *steps))
    assert said["failed"] == {}, "a step that is missing: the images are older than this tree"
    assert (said["user"], said["writable"]) == (65532, ["/tmp", "/tmp"])


@pytest.mark.parametrize("image", ["train", "serve"])
def test_tensorflow_computes_compiles_exports_and_loads(namespace: str, image: str) -> None:
    said = json.loads(run(namespace, image, "python", "-c", TENSORFLOW))
    assert said == {"compiled": [2.0, 2.0], "outputs": [[3, 2]]}


@pytest.mark.parametrize("image", ["steps", "serve-onnx"])
def test_a_light_image_has_neither_tensorflow_nor_build_tools(namespace: str, image: str) -> None:
    names = "tensorflow keras pip uv hatchling setuptools"
    find = f"import importlib.util as u; print([name for name in {names.split()} if u.find_spec(name)])"
    assert run(namespace, image, "python", "-c", find) == "[]"


def test_the_server_for_onnx_has_each_module_that_it_and_unpack_import(namespace: str) -> None:
    names = sorted(modules("serve", "unpack"))
    load = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]; print(len(sys.argv) - 1)"
    assert run(namespace, "serve-onnx", "python", "-c", load, *names) == str(len(names))


def test_arrow_reads_and_writes_on_a_read_only_root(namespace: str) -> None:
    assert run(namespace, "data", "python", "-c", ARROW) == "[1, 2]"
