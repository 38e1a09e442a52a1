"""A cluster in memory, whose job's story is told step by step; and how a training is followed on it."""

from collections.abc import Callable, Mapping
from copy import deepcopy

from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests.job_options import JobOptions
from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.training import LABEL_JOB, Training
from colchis_steps._step.errors import TransientError
from colchis_steps._store.api import Objects
from colchis_steps._training.backends.job import Watch, run_job

TRAINING = Training("indexed-job", "run-1", "digits", 2, "train:1", ["--run=run-1"], JobOptions(restarts=1))
NAME = TRAINING.name
BESIDE = ["apply NetworkPolicy", "apply Service"]
MADE = [*BESIDE, "apply Job", *BESIDE]  # before the job, so that no pod is open to others, then again as its own
BEGAN, ENDED = "2026-11-22T20:00:00Z", "2026-11-22T20:00:09Z"
Step = Callable[["Memory"], None]


class Memory(Cluster):
    """A cluster that holds objects by kind and name; each look at the job takes the next step of the story."""

    def __init__(self, *story: Step) -> None:
        self.namespace, self.role = "ns", "role"
        self.objects: dict[tuple[str, str], Object] = {}
        self.logs: dict[str, str] = {}
        self.story = list(story)
        self.calls: list[str] = []

    def apply(self, manifest: Object) -> Object:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self.calls.append(f"apply {kind}")
        made = deepcopy(manifest)
        made["metadata"]["uid"] = f"uid-{len(self.calls)}"
        self.objects[kind, name] = made
        return made

    def get(self, kind: str, name: str) -> Object | None:
        if kind == "Job" and ("Job", name) in self.objects and self.story:
            self.story.pop(0)(self)
        return deepcopy(self.objects.get((kind, name)))

    def list(self, kind: str, labels: Mapping[str, str]) -> "list[Object]":
        found = [o for (k, _), o in self.objects.items() if k == kind]
        return [deepcopy(o) for o in found if labels.items() <= o["metadata"]["labels"].items()]

    def delete(self, kind: str, name: str) -> None:
        self.calls.append(f"delete {kind}")
        for key in [(kind, name), *(key for key in self.objects if key[0] == "Pod" and key[1].startswith(name))]:
            self.objects.pop(key, None)

    def log(self, pod: str, container: str, *, seconds: int | None = None, lines: int | None = None) -> str:
        return self.logs.get(pod, "")


def nothing(_: Memory) -> None:
    """Let the job go on."""


def ends(kind: str, reason: str = "", message: str = "") -> Step:
    """Return the job a condition."""

    def step(cluster: Memory) -> None:
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        cluster.objects["Job", NAME]["status"] = {"conditions": [{"type": "Other", "status": "True"}, condition]}

    return step


def pod(rank: int, phase: str, code: int | None = None, *, message: str = "", reason: str = "", log: str = "") -> Step:
    """Let a worker's pod be as this."""

    def step(cluster: Memory) -> None:
        name = f"{NAME}-{rank}-abcde"
        ended = {"exitCode": code, "message": message, "reason": reason, "startedAt": BEGAN, "finishedAt": ENDED}
        state = {} if code is None else {"terminated": ended}
        labels = {LABEL_JOB: NAME, "batch.kubernetes.io/job-completion-index": str(rank)}
        metadata = {"name": name, "uid": name, "labels": labels, "creationTimestamp": "2026-11-22T20:00:00Z"}
        status = {"phase": phase, "containerStatuses": [{"name": "worker", "state": state}]}
        cluster.objects["Pod", name] = {"metadata": metadata, "status": status}
        cluster.logs[name] = log

    return step


def all_of(*steps: Step) -> Step:
    """Return a step that is several at once."""

    def step(cluster: Memory) -> None:
        for one in steps:
            one(cluster)

    return step


def away(_: Memory) -> None:
    raise TransientError("the cluster's API server is not reachable; try again when it is back")


def follow(cluster: Memory, store: Objects, training: Training = TRAINING) -> list[str]:
    """Run the job; give the lines of the chief's log that were handed on."""
    lines: list[str] = []
    run_job(cluster, store, training, Watch(lambda: None, lines.append, "key"))
    return lines


class Nested(Memory):
    """A cluster whose steps tell of a JobSet, or of a TrainJob, as of the Job that the stories name."""

    def get(self, kind: str, name: str) -> Object | None:
        if kind in {"JobSet", "TrainJob"} and (kind, name) in self.objects and self.story:
            self.objects["Job", name] = self.objects[kind, name]
            self.story.pop(0)(self)
        return deepcopy(self.objects.get((kind, name)))
