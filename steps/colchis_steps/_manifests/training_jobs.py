"""What runs the workers on a cluster: a job of one of four kinds, with the same pods, image and environment.

Pure: values in, manifests out. Worker 0 is the chief. Each worker finds its peers by $COLCHIS_ADDRESSES and its own
rank by $JOB_COMPLETION_INDEX or $COLCHIS_RANK; on a TFJob by the $TF_CONFIG that the operator sets.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from colchis_steps._formats.documents import canonical_digest
from colchis_steps._manifests.job_options import JobOptions, placed
from colchis_steps._manifests.objects import LABEL_MODEL, LOCKED_POD, MANAGED, READ_ONLY, SCRATCH, Object, run_label

PORT = 2222
LABEL_JOB = "colchis.dev/training"  # on each pod: the job's name
ASKED = "colchis.dev/asked"  # on the job: the digest of what was asked for
WORKFLOW = "workflows.argoproj.io/workflow"  # pods that have it are shown by argo logs
QUEUE = "kueue.x-k8s.io/queue-name"
INDEX = "training.kubeflow.org/replica-index"
JOB_INDEX = "batch.kubernetes.io/job-completion-index"
AGAIN = (75, 143)  # lost its peers, or asked to stop
NEVER_AGAIN = (1, 2, 65)  # a bug, wrong flags, bad input: the same again
KEPT = 86_400  # seconds for which an ended job that nobody asked about is kept
CONTAINERS = {"indexed-job": "worker", "jobset": "worker", "pytorchjob": "pytorch", "tfjob": "tensorflow"}
KINDS = {"indexed-job": "Job", "jobset": "JobSet", "pytorchjob": "PyTorchJob", "tfjob": "TFJob"}
PORTS = {"pytorchjob": "pytorchjob-port", "tfjob": "tfjob-port"}  # by these names the operator finds them


# the operator starts a worker again on 128 to 255 only; elsewhere the code of contract 2 does
RETRY_CODES = {"indexed-job": 75, "jobset": 75, "pytorchjob": 143, "tfjob": 143}


@dataclass(frozen=True)
class Training:
    """One training as a job; ``flags`` go to each worker, ``owner`` is what the job goes with.

    ``account`` is the workers' service account, by which clouds give rights to the store; it gets no token.
    """

    backend: str
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
    def kind(self) -> str:
        """Return the job's kind."""
        return KINDS[self.backend]

    @property
    def name(self) -> str:
        """Return the job's name: the same for the same run and model, short enough for its workers' host names."""
        digest = hashlib.sha256(f"{self.run}\n{self.model}".encode()).hexdigest()
        return f"train-{self.model[:28].rstrip('-')}-{digest[:10]}"

    @property
    def addresses(self) -> list[str]:
        """Return each worker's address."""
        hosts = {
            "indexed-job": "{name}-{rank}.{name}",
            "jobset": "{name}-worker-0-{rank}.{name}",
            "pytorchjob": "{name}-worker-{rank}",
            "tfjob": "{name}-worker-{rank}",
        }[self.backend]
        return [f"{hosts.format(name=self.name, rank=rank)}:{PORT}" for rank in range(self.workers)]

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of all that belongs to the training."""
        return {**MANAGED, LABEL_MODEL: self.model, **run_label(self.run), "app.kubernetes.io/name": "colchis-training"}


def rank_of(pod: Object) -> int:
    """Return the rank of a worker by its pod."""
    labels, annotations = pod["metadata"].get("labels") or {}, pod["metadata"].get("annotations") or {}
    return int(labels.get(JOB_INDEX) or annotations.get(JOB_INDEX) or labels.get(INDEX) or 0)


def job(training: Training) -> Object:
    """Describe the job; its annotation says what was asked for, so that a change of that is seen."""
    version, spec = {"indexed-job": indexed_job, "tfjob": tfjob, "pytorchjob": pytorchjob, "jobset": jobset}[
        training.backend
    ](training)
    queue = {QUEUE: training.options.queue} if training.options.queue else {}
    metadata: Object = {
        "name": training.name,
        "labels": training.labels | queue,
        "annotations": {ASKED: canonical_digest(spec)},
    }
    if training.owner:
        metadata["ownerReferences"] = [training.owner]
    return {"apiVersion": version, "kind": training.kind, "metadata": metadata, "spec": spec}


def service(training: Training, owner: Object | None = None) -> Object | None:
    """Describe the headless Service by which an Indexed Job's pods have names, before they are ready too.

    ``owner`` is the job, with which it goes.
    """
    if training.backend != "indexed-job":
        return None
    metadata: Object = {"name": training.name, "labels": training.labels}
    if owner:
        metadata["ownerReferences"] = [owner]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {LABEL_JOB: training.name},
            "ports": [{"name": "train", "port": PORT, "targetPort": PORT}],
        },
    }


def indexed_job(training: Training) -> tuple[str, Object]:
    """Describe an Indexed Job: what cannot help ends it at once, disruptions cost nothing, the rest counts."""
    return "batch/v1", _job_spec(training, {"subdomain": training.name}) | {
        "activeDeadlineSeconds": training.options.hours * 3600,
        "ttlSecondsAfterFinished": KEPT,
        **({"suspend": True} if training.options.queue else {}),  # until Kueue admits it
    }


def jobset(training: Training) -> tuple[str, Object]:
    """Describe a JobSet of one Indexed Job; its controller makes the Service, and starts all workers again together."""
    spec = _job_spec(training, {}) | {"backoffLimit": 0, "activeDeadlineSeconds": training.options.hours * 3600}
    return "jobset.x-k8s.io/v1alpha2", {
        "network": {"enableDNSHostnames": True, "subdomain": training.name, "publishNotReadyAddresses": True},
        "failurePolicy": {
            "maxRestarts": training.options.restarts,
            "rules": [{"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}],
        },
        "successPolicy": {"operator": "All", "targetReplicatedJobs": ["worker"]},
        "replicatedJobs": [{"name": "worker", "replicas": 1, "template": {"spec": spec}}],
        "ttlSecondsAfterFinished": KEPT,
        **({"suspend": True} if training.options.queue else {}),
    }


def tfjob(training: Training) -> tuple[str, Object]:
    """Describe a TFJob: done when all workers are; pods that have ended stay to be read."""
    return "kubeflow.org/v1", {
        "successPolicy": "AllWorkers",
        "runPolicy": _run_policy(training),
        "tfReplicaSpecs": {"Worker": _replicas(training, [])},
    }


def pytorchjob(training: Training) -> tuple[str, Object]:
    """Describe a PyTorchJob of workers alone.

    With a Master the operator would put an init container from Docker Hub before each worker, and end with the Master.
    """
    rank = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    return "kubeflow.org/v1", {
        "runPolicy": _run_policy(training),
        "pytorchReplicaSpecs": {"Worker": _replicas(training, [{"name": "COLCHIS_RANK", "valueFrom": rank}])},
    }


def _job_spec(training: Training, network: Object) -> Object:
    count, container = training.workers, CONTAINERS[training.backend]

    def ended_with(codes: Sequence[int]) -> Object:
        return {"containerName": container, "operator": "In", "values": list(codes)}

    return {
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": count,
        "backoffLimit": training.options.restarts * count,  # one that is lost ends all
        "podReplacementPolicy": "Failed",  # never two pods of one name
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onExitCodes": ended_with(NEVER_AGAIN)},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "Count", "onExitCodes": ended_with(AGAIN)},
            ]
        },
        "template": _pod(training, [], network | {"restartPolicy": "Never"}),
    }


def _run_policy(training: Training) -> Object:
    options = training.options
    policy: Object = {
        "cleanPodPolicy": "Running",
        "backoffLimit": options.restarts * training.workers,
        "activeDeadlineSeconds": options.hours * 3600,
        "ttlSecondsAfterFinished": KEPT,
    }
    if options.queue:
        policy["suspend"] = True
    if options.scheduler:
        policy["schedulingPolicy"] = {"minAvailable": training.workers}
        policy["schedulingPolicy"] |= {"priorityClass": options.priority} if options.priority else {}
    return policy


def _replicas(training: Training, environment: Sequence[Object]) -> Object:
    return {
        "replicas": training.workers,
        "restartPolicy": "ExitCode",
        "template": _pod(training, environment, {}),
    }


def _pod(training: Training, environment: Sequence[Object], more: Mapping[str, Any]) -> Object:
    labels = {**training.labels, LABEL_JOB: training.name, "app.kubernetes.io/component": "worker"}
    if training.workflow:
        labels[WORKFLOW] = training.workflow
    spec: Object = {
        **LOCKED_POD,
        "terminationGracePeriodSeconds": training.options.grace_seconds,
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": [_worker(training, environment)],
        **({"serviceAccountName": training.account} if training.account else {}),
        **placed(training.options),
        **more,
    }
    # a service mesh would keep the pod alive after the worker, and stand between the workers
    return {"metadata": {"labels": labels, "annotations": {"sidecar.istio.io/inject": "false"}}, "spec": spec}


def _worker(training: Training, environment: Sequence[Object]) -> Object:
    options, values = training.options, {"HOME": SCRATCH, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    if training.backend != "tfjob":
        values["COLCHIS_ADDRESSES"] = ",".join(training.addresses)
    values["TF_GRPC_REUSE_PORT"] = "1"
    gpus = {options.gpu_resource: str(options.gpus)} if options.gpus else {}
    code = f"--retry-exit-code={RETRY_CODES[training.backend]}"
    return {
        "name": CONTAINERS[training.backend],
        "image": training.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "colchis_steps.worker"],
        # Kubernetes would fill in $(NAME)
        "args": [re.sub(r"\$\(", "$$(", flag) for flag in [*training.flags, code]],
        "env": [*({"name": name, "value": value} for name, value in values.items()), *environment],
        "envFrom": [
            {"configMapRef": {"name": "colchis", "optional": True}},
            {"secretRef": {"name": "colchis-s3", "optional": True}},
        ],
        "ports": [{"name": PORTS.get(training.backend, "train"), "containerPort": PORT}],
        "resources": {
            "requests": {"cpu": options.cpu, "memory": options.memory},
            "limits": {"memory": options.memory_limit, **gpus},
        },
        "securityContext": READ_ONLY,
        "volumeMounts": [{"name": "tmp", "mountPath": SCRATCH}],
    }
