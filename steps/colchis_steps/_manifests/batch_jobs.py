"""Predictions on the pods of an Indexed Job: part i belongs to pod i modulo their number. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from colchis_steps._formats.documents import canonical_digest
from colchis_steps._manifests.job_options import JobOptions, placed
from colchis_steps._manifests.objects import (
    KEYS_FILE,
    KEYS_MOUNT,
    KINDS,
    LABEL_MODEL,
    LOCKED_POD,
    MANAGED,
    READ_ONLY,
    SCRATCH,
    SETTINGS,
    TRUST,
    TRUST_MOUNT,
    Object,
    keys_volume,
    literal,
    run_label,
)
from colchis_steps._manifests.training_jobs import AGAIN, ASKED, NEVER_AGAIN, QUEUE
from colchis_steps._manifests.training_pods import WORKFLOW

LABEL_JOB = "colchis.dev/batch"  # on each pod: the job's name
CONTAINER = "predict"


@dataclass(frozen=True)
class BatchJob:
    """One job; ``flags`` go to each pod, ``owner`` is what the job goes with."""

    run: str
    model: str
    workers: int
    image: str
    flags: Sequence[str]
    options: JobOptions = field(default_factory=JobOptions)
    workflow: str = ""
    account: str = ""
    owner: Object | None = None

    @property
    def name(self) -> str:
        """Return the job's name: the same for the same run and flags."""
        digest = hashlib.sha256("\n".join([self.run, *self.flags]).encode()).hexdigest()
        return f"batch-{self.model[:28].rstrip('-')}-{digest[:10]}"

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of the job and its pods."""
        return {**MANAGED, LABEL_MODEL: self.model, **run_label(self.run), "app.kubernetes.io/name": "colchis-batch"}


def batch_job(asked: BatchJob) -> Object:
    """Describe the Job: what cannot help ends it at once, disruptions cost nothing, the rest counts."""
    options = asked.options

    def ended_with(codes: Sequence[int]) -> Object:
        return {"containerName": CONTAINER, "operator": "In", "values": list(codes)}

    spec: Object = {
        "completionMode": "Indexed",
        "completions": asked.workers,
        "parallelism": asked.workers,
        "backoffLimit": options.restarts * asked.workers,
        "podReplacementPolicy": "Failed",  # never two pods that write one part
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onExitCodes": ended_with(NEVER_AGAIN)},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "Count", "onExitCodes": ended_with(AGAIN)},
            ]
        },
        "activeDeadlineSeconds": options.hours * 3600,
        "ttlSecondsAfterFinished": options.seconds_kept,
        **({"suspend": True} if options.queue else {}),  # until Kueue admits it
        "template": _pod(asked),
    }
    metadata: Object = {
        "name": asked.name,
        "labels": asked.labels | ({QUEUE: options.queue} if options.queue else {}),
        "annotations": {ASKED: canonical_digest(spec)},
    }
    if asked.owner:
        metadata["ownerReferences"] = [asked.owner]
    return {"apiVersion": KINDS["Job"][0], "kind": "Job", "metadata": metadata, "spec": spec}


def _pod(asked: BatchJob) -> Object:
    options, values = asked.options, {"HOME": SCRATCH, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    labels = asked.labels | {LABEL_JOB: asked.name, "app.kubernetes.io/component": "batch"}
    gpus = {options.gpu_resource: str(options.gpus)} if options.gpus else {}
    container = {
        "name": CONTAINER,
        "image": asked.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "colchis_steps.batch"],
        "args": [literal(flag) for flag in asked.flags],  # Kubernetes sets $JOB_COMPLETION_INDEX
        "env": [*({"name": name, "value": value} for name, value in values.items()), KEYS_FILE],
        "envFrom": [SETTINGS],
        "resources": {
            "requests": {"cpu": options.cpu, "memory": options.memory},
            "limits": {"memory": options.memory_limit, **gpus},
        },
        "securityContext": READ_ONLY,
        "volumeMounts": [{"name": "tmp", "mountPath": SCRATCH}, KEYS_MOUNT, TRUST_MOUNT],
    }
    spec: Object = {
        **LOCKED_POD,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": options.grace_seconds,
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": options.disk}}, keys_volume("batch"), TRUST],
        "containers": [container],
        **({"serviceAccountName": asked.account} if asked.account else {}),
        **placed(options),
    }
    labels |= {WORKFLOW: asked.workflow} if asked.workflow else {}
    return {"metadata": {"labels": labels, "annotations": {"sidecar.istio.io/inject": "false"}}, "spec": spec}
