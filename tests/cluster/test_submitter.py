"""What a submitter may do: by the Role of docs/submit.md, and by Argo where it holds submitters to the templates.

The controller with ``templateReferencing: Secure`` is one of this test's own, for one namespace and one instance id.
"""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from tests.cluster.conftest import account
from tests.cluster.installed import NEEDS_CLUSTER, PATIENCE, ROOT, argo_release, kubectl, until
from tests.pages.blocks import blocks

from colchis_workflows._templates.step import EXECUTOR

pytestmark = NEEDS_CLUSTER
Object = dict[str, Any]
INSTANCE = "workflows.argoproj.io/controller-instanceid"
PYTHON = {
    "image": "docker.io/library/python:3.13-slim",
    "command": ["python", "-c", "print('ran')"],
    "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
}
TEMPLATE: Object = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "plain"},
    "spec": {
        "entrypoint": "main",
        "serviceAccountName": "tiny",
        "arguments": {"parameters": [{"name": "word", "value": "a"}]},
        "templates": [
            {
                "name": "main",
                "inputs": {"parameters": [{"name": "word"}]},
                "container": PYTHON,
                "podSpecPatch": EXECUTOR,
            },
            {"name": "other", "container": {**PYTHON, "command": ["python", "-c", "print('other')"]}},
        ],
    },
}


@pytest.fixture(scope="module")
def submitter(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Return what runs kubectl as an account that has the Role of the page and nothing else."""
    (role,) = [yaml.safe_load(b.text) for b in blocks(ROOT / "docs" / "submit.md") if "kind: Role" in b.text]
    here = ["--namespace", tiny]
    kubectl(*here, "create", "--filename=-", given=role)
    kubectl(*here, "create", "--filename=-", given=TEMPLATE)
    kubectl(*here, "create", "serviceaccount", "submitter")
    kubectl(*here, "create", "rolebinding", "submitter", "--role=colchis-submit", f"--serviceaccount={tiny}:submitter")
    config = account(tiny, "submitter", tmp_path_factory.mktemp("submitter") / "kubeconfig")

    def asked(*words: str, given: object = None) -> "subprocess.CompletedProcess[str]":
        command = ["kubectl", "--kubeconfig", str(config), *words]
        text = json.dumps(given)
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60 * PATIENCE, check=False)

    return asked


def workflow(spec: Object, instance: str = "") -> Object:
    labels = {INSTANCE: instance} if instance else {}
    metadata = {"generateName": "submitted-", "labels": labels}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec}


REFERENCE: Object = {"workflowTemplateRef": {"name": "plain"}}


def ended(namespace: str, made: "subprocess.CompletedProcess[str]") -> Object:
    assert made.returncode == 0, made.stderr
    name = made.stdout.strip().partition("/")[2]

    def status() -> Object | None:
        found: Object = json.loads(kubectl("--namespace", namespace, "get", "workflow", name, "--output=json"))
        return found["status"] if found.get("status", {}).get("finishedAt") else None

    return until(90, f"the end of {name}", status)


def test_the_role_submits_and_follows_and_does_nothing_else(submitter: Any, tiny: str) -> None:
    given = REFERENCE | {"arguments": {"parameters": [{"name": "word", "value": "b"}]}}
    assert (
        ended(tiny, submitter("create", "--filename=-", "--output=name", given=workflow(given)))["phase"] == "Succeeded"
    )
    may = {
        ("create", "workflows.argoproj.io"),
        ("patch", "workflows.argoproj.io"),
        ("list", "workflowtemplates.argoproj.io"),
    }
    never = {
        *((verb, "secrets") for verb in ("get", "list", "create")),
        *((verb, "pods") for verb in ("create", "delete", "get")),
        ("create", "pods/exec"),
        ("get", "pods/log"),
        *((verb, "workflowtemplates.argoproj.io") for verb in ("create", "patch", "update", "delete")),
        *((verb, "cronworkflows.argoproj.io") for verb in ("create", "patch")),
        ("delete", "workflows.argoproj.io"),
        ("create", "serviceaccounts/token"),
        *(("create", kind) for kind in ("jobs.batch", "deployments.apps", "rolebindings.rbac.authorization.k8s.io")),
        ("patch", "configmaps"),
    }
    for verb, kind in may | never:
        resource, _, subresource = kind.partition("/")
        words = ["auth", "can-i", verb, resource, *([f"--subresource={subresource}"] if subresource else [])]
        assert (submitter(*words).stdout.strip() == "yes") is ((verb, kind) in may), (verb, kind)


@pytest.fixture(scope="module")
def secure(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A controller that holds submitters to the templates; give its instance id."""
    program = shutil.which("workflow-controller")
    if program is None:
        pytest.skip("workflow-controller is not on PATH")
    release = ".".join(map(str, argo_release()))
    instance = f"secure-{uuid.uuid4().hex[:6]}"
    config = {"instanceID": instance, "workflowRestrictions": "templateReferencing: Secure\n"}
    config |= dict.fromkeys(("metricsConfig", "telemetryConfig"), "enabled: false\n")  # whose ports another may have
    here = ["--namespace", tiny]
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "secure-controller"}, "data": config}
    kubectl(*here, "create", "--filename=-", given=made)
    words = ["--namespaced", "--namespace", tiny, "--configmap", "secure-controller"]
    words += ["--executor-image", f"quay.io/argoproj/argoexec:v{release}"]
    environment = os.environ | {"LEADER_ELECTION_DISABLE": "true"}
    with (tmp_path_factory.mktemp("controller") / "log").open("w") as log:
        process = subprocess.Popen([program, *words], stdout=log, stderr=log, env=environment)
        try:
            yield instance
        finally:
            process.terminate()
            process.wait(30)


def test_where_argo_holds_submitters_a_template_runs_and_nothing_made_by_hand(
    submitter: Any, secure: str, tiny: str
) -> None:
    def run(spec: Object) -> Object:
        return ended(tiny, submitter("create", "--filename=-", "--output=name", given=workflow(spec, secure)))

    assert run(REFERENCE)["phase"] == "Succeeded"
    by_hand = {"entrypoint": "main", "serviceAccountName": "tiny", "templates": [{"name": "main", "container": PYTHON}]}
    patch = '{"containers": [{"name": "main", "image": "docker.io/library/python:3.13-slim", "tty": true}]}'
    told = {
        "by hand": (by_hand, "workflows must use workflowTemplateRef"),
        "another template beside": (REFERENCE | {"templates": by_hand["templates"]}, "[Templates]"),
        "a patch of the pod": (REFERENCE | {"podSpecPatch": patch}, "[PodSpecPatch]"),
        "another account": (REFERENCE | {"serviceAccountName": "default"}, "[ServiceAccountName]"),
        "the node's network": (REFERENCE | {"hostNetwork": True}, "[HostNetwork]"),
        "a volume": (REFERENCE | {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, "[Volumes]"),
        "a security context": (REFERENCE | {"securityContext": {"runAsUser": 0}}, "[SecurityContext]"),
    }
    for name, (spec, why) in told.items():
        status = run(spec)
        assert (status["phase"], why in status["message"]) == ("Error", True), (name, status)
    # it lets a submitter choose where to enter: so each step holds by itself what it is given
    assert run(REFERENCE | {"entrypoint": "other"})["phase"] == "Succeeded"


def test_without_it_a_submitter_runs_what_they_like(submitter: Any, tiny: str) -> None:
    """What docs/security.md says plainly: then whoever may create Workflows is trusted with all accounts there."""
    by_hand = {"entrypoint": "main", "serviceAccountName": "tiny", "templates": [{"name": "main", "container": PYTHON}]}
    made = submitter("create", "--filename=-", "--output=name", given=workflow(by_hand))
    assert ended(tiny, made)["phase"] == "Succeeded"
