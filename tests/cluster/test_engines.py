"""Same meaning, two engines: thirteen small DAGs through Argo; tests/workflows/test_local_dags.py runs them locally.

Needs kubectl and a cluster with Argo Workflows; makes a namespace of its own and removes it.
"""

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DAGS = sorted((Path(__file__).parents[1] / "workflows" / "dags").glob("*.yaml"))
ACCOUNT = "colchis-engines"
DEADLINE = 180.0  # seconds for one workflow, its pods' starts included
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="KUBECONFIG names no cluster"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH"),
]


def kubectl(*words: str, given: object = None) -> Any:
    text = json.dumps(given) if given is not None else None
    done = subprocess.run(
        ["kubectl", *words, "--output=json"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    name = f"colchis-engines-{uuid.uuid4().hex[:6]}"
    rules = [{"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}]
    api = "rbac.authorization.k8s.io"
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount"},
        {"apiVersion": f"{api}/v1", "kind": "Role", "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": api, "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": name}],
        },
    ]
    kubectl("create", "--filename=-", given={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        for thing in objects:
            whole = {**thing, "metadata": {"name": ACCOUNT, "namespace": name}}
            kubectl("create", "--filename=-", given=whole)
        yield name
    finally:
        subprocess.run(["kubectl", "delete", "namespace", name, "--wait=false"], check=True, timeout=60)


def ended(namespace: str, name: str) -> dict[str, Any]:
    """Wait until the workflow has ended; give it."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        workflow: dict[str, Any] = kubectl("get", "workflow", name, "--namespace", namespace)
        if workflow.get("status", {}).get("finishedAt"):
            return workflow
        time.sleep(1)
    raise AssertionError(f"{name} did not end in {DEADLINE:.0f} s: {workflow.get('status')}")


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_phases_and_outputs_are_those_of_a_local_run(path: Path, namespace: str) -> None:
    workflow, *templates = yaml.safe_load_all(path.read_text())
    expected = workflow["metadata"]["annotations"]
    for template in templates:
        kubectl("apply", "--namespace", namespace, "--filename=-", given=template)
    workflow["spec"]["serviceAccountName"] = ACCOUNT
    made = kubectl("create", "--namespace", namespace, "--filename=-", given=workflow)
    name = made["metadata"]["name"]
    status = ended(namespace, name)["status"]
    phases = {"workflow": status["phase"]}
    phases |= {node["name"].removeprefix(name).lstrip("."): node["phase"] for node in status["nodes"].values()}
    outputs = {p["name"]: p.get("value") for p in status.get("outputs", {}).get("parameters", [])}
    assert phases == json.loads(expected["colchis.dev/phases"])
    assert outputs == json.loads(expected.get("colchis.dev/outputs", "{}"))
