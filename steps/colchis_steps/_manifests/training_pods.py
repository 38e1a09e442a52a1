"""The workers' pods: the same on every kind of job, but for what the kind wants. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from colchis_steps._manifests.job_options import placed
from colchis_steps._manifests.objects import (
    KEYS_FILE,
    KEYS_MOUNT,
    LOCKED_POD,
    READ_ONLY,
    SCRATCH,
    SETTINGS,
    Object,
    keys_volume,
    literal,
)
from colchis_steps._manifests.training import CONTAINERS, INDEX, JOB_INDEX, LABEL_JOB, PORT, Training

WORKFLOW = "workflows.argoproj.io/workflow"  # pods that have it are shown by argo logs
PORTS = {"pytorchjob": "pytorchjob-port", "tfjob": "tfjob-port"}  # by these names the operator finds them


# the training operator starts a worker again on 128 to 255 only; elsewhere the code of contract 2 does
RETRY_CODES = {"pytorchjob": 143, "tfjob": 143}


def pod(training: Training, more: Mapping[str, Any]) -> Object:
    """Describe the workers' pods; ``more`` are fields of the specification that the kind wants."""
    labels = {**training.labels, LABEL_JOB: training.name, "app.kubernetes.io/component": "worker"}
    if training.workflow:
        labels[WORKFLOW] = training.workflow
    spec: Object = {
        **LOCKED_POD,
        "terminationGracePeriodSeconds": training.options.grace_seconds,
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": training.options.disk}}, keys_volume("worker")],
        "containers": [_worker(training)],
        **({"serviceAccountName": training.account} if training.account else {}),
        **placed(training.options),
        **more,
    }
    # a service mesh would keep the pod alive after the worker, and stand between the workers
    return {"metadata": {"labels": labels, "annotations": {"sidecar.istio.io/inject": "false"}}, "spec": spec}


def _environment(training: Training) -> list[Object]:
    """Return what tells a worker its place, beside what Kubernetes or the operator sets by itself."""
    addresses = {"name": "COLCHIS_ADDRESSES", "value": ",".join(training.addresses)}
    if training.backend == "tfjob":  # its operator sets $TF_CONFIG
        return []
    if training.backend == "pytorchjob":
        return [addresses, _rank(INDEX)]
    if training.backend == "trainjob":  # Kubernetes fills in $(COLCHIS_RANK), which stands before it
        config = {"cluster": {"worker": training.addresses}, "task": {"type": "worker", "index": "RANK"}}
        text = json.dumps(config).replace('"RANK"', "$(COLCHIS_RANK)")
        return [addresses, _rank(JOB_INDEX), {"name": "TF_CONFIG", "value": text}]
    return [addresses]  # $JOB_COMPLETION_INDEX is set in each pod of an Indexed Job


def _rank(label: str) -> Object:
    return {"name": "COLCHIS_RANK", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}}}


def _worker(training: Training) -> Object:
    options, values = training.options, {"HOME": SCRATCH, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    values["TF_GRPC_REUSE_PORT"] = "1"
    gpus = {options.gpu_resource: str(options.gpus)} if options.gpus else {}
    code = f"--retry-exit-code={RETRY_CODES.get(training.backend, 75)}"
    return {
        "name": CONTAINERS[training.backend],
        "image": training.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "colchis_steps.worker"],
        "args": [literal(flag) for flag in [*training.flags, code]],
        "env": [
            *({"name": name, "value": value} for name, value in values.items()),
            KEYS_FILE,
            *_environment(training),
        ],
        "envFrom": [SETTINGS],
        "ports": [{"name": PORTS.get(training.backend, "train"), "containerPort": PORT}],
        "resources": {
            "requests": {"cpu": options.cpu, "memory": options.memory},
            "limits": {"memory": options.memory_limit, **gpus},
        },
        "securityContext": READ_ONLY,
        "volumeMounts": [{"name": "tmp", "mountPath": SCRATCH}, KEYS_MOUNT],
    }
