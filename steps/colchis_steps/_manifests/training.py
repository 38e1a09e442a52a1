"""One training as its manifests know it: the names, places and labels of its job and its workers. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from colchis_steps._manifests.job_options import JobOptions
from colchis_steps._manifests.objects import LABEL_MODEL, MANAGED, Object, run_label

PORT = 2222
LABEL_JOB = "colchis.dev/training"  # on each pod: the job's name
INDEX = "training.kubeflow.org/replica-index"
JOB_INDEX = "batch.kubernetes.io/job-completion-index"
KINDS = {"indexed-job": "Job", "jobset": "JobSet", "pytorchjob": "PyTorchJob", "tfjob": "TFJob", "trainjob": "TrainJob"}
CONTAINERS = {  # where an operator looks for the worker
    "indexed-job": "worker",
    "jobset": "worker",
    "pytorchjob": "pytorch",
    "tfjob": "tensorflow",
    "trainjob": "node",
}
HOSTS = {
    "indexed-job": "{name}-{rank}.{name}",
    "jobset": "{name}-worker-0-{rank}.{name}",
    "pytorchjob": "{name}-worker-{rank}",
    "tfjob": "{name}-worker-{rank}",
    "trainjob": "{name}-node-0-{rank}.{name}",
}


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
        host = HOSTS[self.backend]
        return [f"{host.format(name=self.name, rank=rank)}:{PORT}" for rank in range(self.workers)]

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of all that belongs to the training."""
        return {**MANAGED, LABEL_MODEL: self.model, **run_label(self.run), "app.kubernetes.io/name": "colchis-training"}


def rank_of(pod: Object) -> int:
    """Return the rank of a worker by its pod."""
    labels, annotations = pod["metadata"].get("labels") or {}, pod["metadata"].get("annotations") or {}
    return int(labels.get(JOB_INDEX) or annotations.get(JOB_INDEX) or labels.get(INDEX) or 0)
