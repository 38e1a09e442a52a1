"""The two contenders of the race `engine`: our rendered templates without their work, and a minimal workflow.

Reads   workflows/manifests/base/*.yaml  what `kubectl apply -k` installs

Both run the same program in the same image: it writes a value to each path that a flag names, and ends.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

BASE = Path(__file__).resolve().parents[1] / "workflows" / "manifests" / "base"
IMAGE = "docker.io/library/python:3.13-slim"
NOOP = """\
import os, sys
values = {'verdict': 'pass', 'new-data': 'true'}
for word in sys.argv[1:]:
    flag, _, path = word.partition('=')
    if flag.endswith('-path'):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(values.get(flag[2:-5], '1'))
"""
COMMAND = ["python", "-c", NOOP]
STEPS = ["validate-data", "train", "evaluate", "upload", "kaniko", "build-image", "register", "rollout", "report"]
MINIMAL = "argo-minimal"
INSTANCE = "workflows.argoproj.io/controller-instanceid"
ARGO, RBAC = "argoproj.io/v1alpha1", "rbac.authorization.k8s.io"
CONTROLLED = [  # "*" would have it wait for cluster-wide templates, which its role can't list
    *("workflows", "workflows/finalizers", "workflowtemplates", "cronworkflows", "cronworkflows/finalizers"),
    *("workflowtasksets", "workflowtasksets/finalizers", "workflowtasksets/status"),
    *("workflowtaskresults", "workflowartifactgctasks", "workflowartifactgctasks/status"),
]
Object = dict[str, Any]


def templates(namespace: str) -> Iterator[Object]:
    """Yield the rendered objects; of a container nothing changes but its image and what it runs."""
    for path in [BASE / "accounts.yaml", *sorted(BASE.glob("colchis-*.yaml"))]:
        for made in yaml.safe_load_all(path.read_text()):
            if made["kind"] == "WorkflowTemplate":
                for template in made["spec"]["templates"]:
                    _without_work(template)
            elif made["kind"] == "RoleBinding":
                made["subjects"] = [subject | {"namespace": namespace} for subject in made["subjects"]]
            elif made["kind"] not in {"ServiceAccount", "Role", "Secret"}:
                continue
            yield made


def _without_work(template: Object) -> None:
    for container in [template.get("container"), *template.get("initContainers", [])]:
        if container:
            container |= {"image": IMAGE, "command": COMMAND}


def ours(instance: str, builder: str) -> Object:
    """Return the workflow that submits `colchis-pipeline` to the controller of this instance."""
    arguments = {"parameters": [{"name": "builder", "value": builder}]}
    return _workflow(
        instance, "colchis-", {"workflowTemplateRef": {"name": "colchis-pipeline"}, "arguments": arguments}
    )


def minimal(instance: str, steps: Sequence[str]) -> Object:
    """Return the minimal workflow: a chain of the steps, each of which hands one value on, and nothing else."""
    tasks: list[Object] = []
    for before, name in zip([None, *steps], steps, strict=False):
        value = f"{{{{tasks.{before}.outputs.parameters.value}}}}" if before else "1"
        task = {"name": name, "template": "step", "arguments": {"parameters": [{"name": "value", "value": value}]}}
        tasks.append(task | ({"depends": before} if before else {}))
    step = {
        "name": "step",
        "inputs": {"parameters": [{"name": "value"}]},
        "container": {
            "image": IMAGE,
            "command": COMMAND,
            "args": ["--value={{inputs.parameters.value}}", "--value-path=/tmp/value"],
        },
        "outputs": {"parameters": [{"name": "value", "valueFrom": {"path": "/tmp/value"}}]},  # noqa: S108 - in the pod
    }
    chain = {"name": "chain", "dag": {"tasks": tasks}}
    spec = {"entrypoint": "chain", "serviceAccountName": MINIMAL, "templates": [chain, step]}
    return _workflow(instance, "minimal-", spec)


def _workflow(instance: str, prefix: str, spec: Object) -> Object:
    metadata = {"generateName": prefix, "labels": {INSTANCE: instance}}
    return {"apiVersion": ARGO, "kind": "Workflow", "metadata": metadata, "spec": spec}


def site(namespace: str, endpoint: str, key: str, secret: str) -> list[Object]:
    """Return what the contenders need beside them: an account, and a bucket for the report, named as the namespace."""
    keys = {"accesskey": key, "secretkey": secret}
    bucket = {
        "bucket": namespace,
        "endpoint": endpoint.partition("://")[2],
        "insecure": endpoint.startswith("http://"),
        "accessKeySecret": {"name": "colchis-artifacts", "key": "accesskey"},
        "secretKeySecret": {"name": "colchis-artifacts", "key": "secretkey"},
    }
    default = {"annotations": {"workflows.argoproj.io/default-artifact-repository": "bucket"}}
    return [
        *_account(namespace, MINIMAL, [("argoproj.io", ["workflowtaskresults"], ["create", "patch"])]),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "colchis-artifacts"}, "stringData": keys},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "artifact-repositories", **default},
            "data": {"bucket": yaml.safe_dump({"s3": bucket})},
        },
    ]


def controller(namespace: str, image: str, requeue: str) -> list[Object]:
    """Return a workflow controller for this namespace alone, which others' workflows neither slow nor see."""
    name, labels = "controller", {"app": "controller"}
    container = {
        "name": name,
        "image": image,
        "command": ["workflow-controller"],
        "args": ["--namespaced", f"--configmap={name}"],
        "env": [
            {"name": "LEADER_ELECTION_DISABLE", "value": "true"},
            {"name": "DEFAULT_REQUEUE_TIME", "value": requeue},
        ],
    }
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"serviceAccountName": name, "containers": [container]}},
    }
    rules = [("", ["*"], ["*"]), ("argoproj.io", CONTROLLED, ["*"]), ("policy", ["poddisruptionbudgets"], ["*"])]
    settings = {"instanceID": namespace}
    return [
        *_account(namespace, name, rules),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": settings},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
    ]


def _account(namespace: str, name: str, rules: Sequence[tuple[str, list[str], list[str]]]) -> list[Object]:
    metadata, api = {"metadata": {"name": name}}, f"{RBAC}/v1"
    given = [{"apiGroups": [group], "resources": resources, "verbs": verbs} for group, resources, verbs in rules]
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    bound = {"roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name}, "subjects": [subject]}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", **metadata},
        {"apiVersion": api, "kind": "Role", "rules": given, **metadata},
        {"apiVersion": api, "kind": "RoleBinding", **bound, **metadata},
    ]
