"""Colchis installed in a namespace of its own, as docs/quickstart-cluster.md says, and the runs submitted there.

Where things are comes from the environment, with the defaults of a small test cluster:

COLCHIS_IMAGES, COLCHIS_TAG   our images' prefix and tag
AWS_ENDPOINT_URL_S3, AWS_*    the bucket's server and keys, the same for pods and for this machine
COLCHIS_TEST_KANIKO           kaniko's executor
COLCHIS_TEST_REPOSITORY       where model images go, over plain HTTP
COLCHIS_TEST_GATEWAY_NAME     the Gateway's namespace and name
COLCHIS_TEST_GATEWAY          its address, where models answer
COLCHIS_TEST_ARGO             Argo's server
COLCHIS_TEST_PATIENCE         how many times longer than on two quiet cores to wait for anything
"""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from colchis_steps._manifests.objects import KINDS as OBJECTS
from colchis_steps._manifests.training import KINDS
from colchis_steps._step.errors import TransientError
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store
from colchis_workflows.settings import Settings

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "workflows" / "manifests"
PATIENCE = float(os.environ.get("COLCHIS_TEST_PATIENCE", "1"))
NEEDS_CLUSTER = [
    pytest.mark.cluster,
    pytest.mark.timeout(900 * PATIENCE),
    pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="KUBECONFIG names no cluster"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH"),
]
SETTINGS = Settings()
KANIKO = os.environ.get("COLCHIS_TEST_KANIKO", "gcr.io/kaniko-project/executor:v1.24.0")
IMAGES, TAG = os.environ.get("COLCHIS_IMAGES", SETTINGS.registry), os.environ.get("COLCHIS_TAG", SETTINGS.tag)
REPOSITORY = os.environ.get("COLCHIS_TEST_REPOSITORY", "registry.registry.svc:5000/models")
GATEWAY = os.environ.get("COLCHIS_TEST_GATEWAY", "http://traefik.traefik.svc")
ARGO = os.environ.get("COLCHIS_TEST_ARGO", "http://argo-server.argo.svc:2746")
AWS = {
    "AWS_ENDPOINT_URL_S3": os.environ.get("AWS_ENDPOINT_URL_S3", "http://minio.minio.svc:9000"),
    "AWS_REGION": os.environ.get("AWS_REGION", "us-east-1"),
    "AWS_ACCESS_KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID", "admin"),
    "AWS_SECRET_ACCESS_KEY": os.environ.get("AWS_SECRET_ACCESS_KEY", "password"),
}
ROUTES = {
    "COLCHIS_GATEWAY": os.environ.get("COLCHIS_TEST_GATEWAY_NAME", "traefik/models"),
    "COLCHIS_GATEWAY_URL": GATEWAY,
}
BUCKET = "colchis"
QUICK = {  # a training of seconds that passes its gate
    "hyperparameters": '{"epochs": 3, "global_batch": 64, "seed": 7, "learning_rate": 0.01}',
    "thresholds": '{"accuracy": {"min": 0.5}}',
    "workers": "2",
    "steps": "100",
}
Object = dict[str, Any]
T = TypeVar("T")


def kubectl(*words: str, given: object = None) -> str:
    text = None if given is None else given if isinstance(given, str) else json.dumps(given)
    done = subprocess.run(
        ["kubectl", *words], input=text, capture_output=True, text=True, timeout=120 * PATIENCE, check=False
    )
    assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
    return done.stdout


def until(seconds: float, what: str, found: Callable[[], T | None]) -> T:
    """Poll until ``found`` gives something; the deadline's sentence says what was waited for."""
    end = time.monotonic() + (seconds := seconds * PATIENCE)
    while (value := found()) is None or value is False:
        assert time.monotonic() < end, f"{what} did not come about in {seconds:.0f} s"
        time.sleep(1)
    return value


def has(backend: str) -> bool:
    """Whether the cluster has what a training's back-end makes."""
    version, plural = OBJECTS[KINDS[backend]]
    crd = ["kubectl", "get", "crd", f"{plural}.{version.partition('/')[0]}"]
    return backend == "indexed-job" or not subprocess.run(crd, capture_output=True, timeout=30, check=False).returncode


def argo_release() -> tuple[int, int, int]:
    """Ask Argo's server which release serves: 3.7.18 is ``(3, 7, 18)``."""
    with urllib.request.urlopen(f"{ARGO}/api/v1/version", timeout=30) as answer:
        version = str(json.load(answer)["version"])
    match = re.match(r"v(\d+)\.(\d+)\.(\d+)", version)
    assert match, f"{ARGO} is of version {version!r}"
    return int(match[1]), int(match[2]), int(match[3])


@dataclass
class Run:
    """A workflow, as the cluster last told of it; of first_runs also its pods and trainings' logs, which go sooner."""

    workflow: Object
    pods: list[Object] = field(default_factory=list)
    log: str = ""

    @property
    def name(self) -> str:
        return str(self.workflow["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.workflow["metadata"]["uid"])

    @property
    def phase(self) -> str:
        return str(self.workflow.get("status", {}).get("phase", ""))

    @property
    def nodes(self) -> list[Object]:
        return list(self.workflow.get("status", {}).get("nodes", {}).values())

    @property
    def outputs(self) -> dict[str, str]:
        """Return the global outputs, which the UI shows on the run itself."""
        found = self.workflow.get("status", {}).get("outputs", {}).get("parameters", [])
        return {str(p["name"]): str(p.get("value")) for p in found}

    def node(self, name: str) -> Object:
        """Return a task's node: of one that was retried, the one that holds the attempts."""
        found = [node for node in self.nodes if node["displayName"] == name]
        assert found, f"{self.name} has no node {name}: {sorted(n['displayName'] for n in self.nodes)}"
        return found[0]

    def attempts(self, name: str) -> list[Object]:
        """Return a task's pods in the order of their attempts: ``name(0)``, ``name(1)``, …"""
        pods = [n for n in self.nodes if n["type"] == "Pod" and n["displayName"].split("(")[0] == name]
        return sorted(pods, key=lambda n: int(n["displayName"].partition("(")[2].rstrip(")") or 0))

    def failed(self, task: str, code: int) -> str:
        """Hold a task to one attempt that ended with this exit code; give the sentence that the UI shows."""
        tried = self.attempts(task)
        assert [node["phase"] for node in tried] == ["Failed"], self.told()
        message = str(tried[0]["message"])
        assert f"Error (exit code {code}): " in message, message
        return message.partition("): ")[2].strip()

    def told(self) -> str:
        """Say how each node went, for a failed assertion."""
        lines = [f"{n['displayName']:24} {n['phase']:10} {n.get('message', '')}" for n in self.nodes]
        return "\n".join([f"{self.name} {self.phase} {self.workflow['status'].get('message', '')}", *sorted(lines)])


@dataclass
class Installation:
    """A namespace with our templates, and a prefix of the bucket of its own."""

    namespace: str
    url: str
    directory: Path = Path()
    data: str = ""
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Objects:
        return open_store(self.url)

    def keys(self, prefix: str) -> list[str]:
        """List the store's keys; the name service of a small cluster can be out of breath for moments."""

        def found() -> list[str] | None:
            try:
                return list(self.store.keys(prefix))
            except TransientError:
                return None

        return until(30, f"a list of {self.url}/{prefix}", found)

    def kubectl(self, *words: str, given: object = None) -> str:
        return kubectl("--namespace", self.namespace, *words, given=given)

    def get(self, *words: str) -> Any:
        return json.loads(self.kubectl("get", *words, "--output=json"))

    def submit(self, template: str = "colchis-pipeline", **parameters: str) -> str:
        """Submit a template with parameters, whose ``_`` stand for ``-``; give the workflow's name."""
        given = {name.replace("_", "-"): value for name, value in parameters.items()}
        if template == "colchis-pipeline":
            given = {**QUICK, "store": self.url, "data": self.data, **self.parameters, **given}
        workflow = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": "run-"},
            "spec": {
                "workflowTemplateRef": {"name": template},
                "arguments": {"parameters": [{"name": name, "value": value} for name, value in given.items()]},
            },
        }
        made = self.kubectl("create", "--filename=-", "--output=name", given=workflow)
        return made.strip().partition("/")[2]

    def run(self, name: str) -> Run:
        return Run(self.get("workflow", name))

    def retry(self, name: str, by: str = "server") -> None:
        """Retry a run that failed, as the UI does by the API of Argo's server, or by the command."""
        if by == "command" and shutil.which("argo"):
            command = ["argo", "--namespace", self.namespace, "retry", name]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert ended.returncode == 0, ended.stderr
            return
        request = urllib.request.Request(
            f"{ARGO}/api/v1/workflows/{self.namespace}/{name}/retry",
            data=json.dumps({"namespace": self.namespace, "name": name}).encode(),
            headers={"Content-Type": "application/json"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=30) as done:
            assert done.status == 200

    def report(self, run: Run) -> str:
        """Read the run's report as the UI does, by the API of Argo's server; it must come as a page."""
        (node,) = [n for n in run.nodes if n["type"] == "Pod" and ".onExit" in n["name"]]
        where = f"artifact-files/{self.namespace}/workflows/{run.name}/{node['id']}/outputs/report"
        with urllib.request.urlopen(f"{ARGO}/{where}", timeout=20) as page:
            assert page.headers["Content-Type"].startswith("text/html")
            assert page.headers["Content-Disposition"] == 'filename="report.html"'
            text: str = page.read().decode()
        assert text.startswith("<!DOCTYPE html>")
        assert "<script" not in text
        return text

    def ended(self, name: str, seconds: float = 300) -> Run:
        """Wait until the run has ended; give it. One watch: to ask twice a second costs a core when several wait."""
        wait = ["kubectl", "-n", self.namespace, "wait", f"workflow/{name}", "--for=jsonpath={.status.finishedAt}"]
        limit = f"--timeout={seconds * PATIENCE:.0f}s"
        done = subprocess.run([*wait, limit], capture_output=True, text=True, check=False)
        run = self.run(name)
        assert done.returncode == 0, f"{done.stderr}\n{run.told()}"
        return run

    def reached(self, name: str, task: str, seconds: float = 300) -> str:
        """Wait until a pod of a task runs, named by its template or its component; give the pod's name."""

        def found() -> str | None:
            run = self.run(name)
            assert not run.workflow.get("status", {}).get("finishedAt"), run.told()
            for pod in self.get("pods", f"--selector=workflows.argoproj.io/workflow={name}")["items"]:
                own, component = pod["metadata"]["name"], pod["metadata"]["labels"]["app.kubernetes.io/component"]
                if pod["status"]["phase"] == "Running" and (component == task or own.startswith(f"{name}-{task}-")):
                    return str(own)
            return None

        return until(seconds, f"a running pod of {task} in {name}", found)


def import_digits(url: str) -> str:
    """Import the digits as a user does; give the data URI."""
    command = ["colchis", "data", "import", "digits", "--to", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
