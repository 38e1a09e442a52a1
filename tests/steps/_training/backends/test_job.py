"""Following a job: made once, found again, explained, and removed; the cluster is in memory."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import failure_key, training_key
from colchis_steps._formats.training import Cause, Failure, Result
from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests.job_options import JobOptions
from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.training import LABEL_JOB, Training
from colchis_steps._manifests.training_jobs import job
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store
from colchis_steps._training.backends import job as _training_job
from colchis_steps._training.backends.job import AwayError, LostError, Watch, run_job
from colchis_steps._training.backends.making import StoppedError

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


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    monkeypatch.setattr(_training_job, "POLL", 0.001)
    monkeypatch.delenv("COLCHIS_POD", raising=False)
    return open_store(tmp_path.as_uri())


def follow(cluster: Memory, store: Objects, training: Training = TRAINING) -> list[str]:
    """Run the job; give the lines of the chief's log that were handed on."""
    lines: list[str] = []
    run_job(cluster, store, training, Watch(lambda: None, lines.append, "key"))
    return lines


def failure(store: Objects, *story: Step) -> StepError:
    """Return how a training ends that goes wrong; its job is removed."""
    cluster = Memory(*story)
    with pytest.raises(StepError) as raised:
        follow(cluster, store)
    assert cluster.calls[-1] == "delete Job"
    return raised.value


def test_a_job_is_made_with_its_address_followed_and_removed(store: Objects) -> None:
    first = "2026-11-22T20:00:01.000000001Z epoch 1\n"
    second = f"{first}2026-11-22T20:00:02.000000001Z epoch 2\n2026-11-22T20:00:03.000000001Z 20:00:03 ERROR the end\n"
    cluster = Memory(
        nothing,
        pod(0, "Running", log=first),
        all_of(pod(0, "Running", log=second), pod(1, "Running", log="2026-11-22T20:00:01Z other\n")),
        all_of(ends("Complete"), pod(0, "Succeeded", 0, log=second)),
    )
    assert follow(cluster, store) == ["epoch 1", "epoch 2"]
    assert cluster.calls == [*MADE, "delete Job"]
    service = cluster.objects["Service", NAME]
    assert service["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": NAME, "uid": "uid-3"}
    ]
    assert (
        cluster.objects["NetworkPolicy", NAME]["metadata"]["ownerReferences"] == service["metadata"]["ownerReferences"]
    )
    assert store.read(training_key("run-1", "worker-0.log")) == b"epoch 1\nepoch 2\n20:00:03 ERROR the end\n"
    assert store.read(training_key("run-1", "worker-1.log")) == b"other\n"


def test_a_job_that_is_there_is_followed_and_one_made_for_something_else_is_made_anew(
    store: Objects, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Memory()
    cluster.apply(job(TRAINING))
    cluster.story = [nothing, ends("Complete")]
    with caplog.at_level(logging.INFO, "colchis"):
        follow(cluster, store)
    assert "is there already; following it" in caplog.text
    assert cluster.calls.count("apply Job") == 1

    cluster = Memory()
    cluster.apply(job(Training("indexed-job", "run-1", "digits", 3, "train:1", ["--run=run-1"])))
    cluster.story = [nothing, nothing, nothing, ends("Complete")]
    follow(cluster, store)
    assert cluster.calls == ["apply Job", "delete Job", *MADE, "delete Job"]


def test_somebody_elses_job_is_left_alone(store: Objects) -> None:
    cluster = Memory()
    cluster.apply({"kind": "Job", "metadata": {"name": NAME, "labels": {}}})
    with pytest.raises(InputError, match="was not made by colchis"):
        follow(cluster, store)
    assert cluster.calls == ["apply Job"]


def test_bad_input_is_told_before_what_it_caused(store: Objects) -> None:
    error = failure(
        store,
        all_of(
            pod(1, "Failed", 75, message="worker 1 of 2 lost its peers (x); run it again"),
            pod(0, "Failed", 65, message="entry 'a:b': there is no module 'a'\n"),
            ends("FailureTarget", "PodFailurePolicy", "Container worker failed with exit code 65"),
        ),
    )
    assert (error.exit_code, str(error)) == (65, "entry 'a:b': there is no module 'a'")


@pytest.mark.parametrize(
    ("at", "sentence"),
    [
        (ENDED, "worker 1 of 2: the store is away"),
        ("2026-11-22T20:00:10Z", "worker 0 of 2: what the kubelet kept"),  # of the worker that was started next
        ("2026-11-22T19:59:59Z", "worker 0 of 2: what the kubelet kept"),
    ],
)
def test_a_workers_own_document_has_the_cause_where_it_is_of_that_attempt(
    store: Objects, at: str, sentence: str
) -> None:
    kept = Failure(cause=Cause.PEER, sentence="worker 0 of 2 lost its peers (x); run it again", at=at)
    store.write(failure_key("run-1", 0), encode(kept))
    error = failure(
        store,
        all_of(
            pod(0, "Failed", 75, message="what the kubelet kept"),
            pod(1, "Failed", 75, message="the store is away"),
            ends("Failed", "BackoffLimitExceeded"),
        ),
    )
    assert (error.exit_code, str(error)) == (75, sentence)


@pytest.mark.parametrize(("until", "code"), [("2026-11-23T20:00:00Z", 65), ("2026-11-23T19:59:58Z", 75)])
def test_an_operators_job_that_took_all_of_its_hours_is_known_by_its_times(
    store: Objects, until: str, code: int
) -> None:
    def failed(cluster: Memory) -> None:
        condition = {"type": "Failed", "status": "True", "reason": "TFJobFailed", "lastTransitionTime": until}
        cluster.objects["Job", NAME]["status"] = {"startTime": "2026-11-22T20:00:00Z", "conditions": [condition]}

    error = failure(store, failed)
    assert error.exit_code == code
    assert ("took longer than its 24 hours" in str(error)) == (code == 65)


def test_a_worker_that_was_lost_too_often_may_be_tried_again(store: Objects) -> None:
    story = all_of(pod(1, "Failed", 137), pod(0, "Failed", 143), ends("Failed", "BackoffLimitExceeded"))
    error = failure(store, story)
    assert error.exit_code == 75
    assert str(error).startswith("worker 1 of 2 was killed (SIGKILL: by hand, or for memory)")


def test_a_worker_that_broke_shows_the_last_line_of_its_log(store: Objects) -> None:
    log = "2026-11-22T20:00:01Z Traceback …\n2026-11-22T20:00:01Z KeyError: 'rate'\n"
    error = failure(store, all_of(pod(0, "Failed", 1, log=log), ends("Failed", "PodFailurePolicy")))
    assert (type(error), str(error)) == (
        StepError,
        "worker 0 of 2 ended with exit code 1: KeyError: 'rate'; its whole log says more",
    )


@pytest.mark.parametrize(
    ("story", "code", "sentence"),
    [
        ([ends("Failed", "DeadlineExceeded", "Job was active longer than")], 65, "took longer than its 24 hours"),
        ([ends("Failed", "BackoffLimitExceeded", "too often")], 75, "failed (BackoffLimitExceeded: too often)"),
    ],
)
def test_the_jobs_own_reason_is_told_where_no_worker_says_one(
    store: Objects, story: list[Step], code: int, sentence: str
) -> None:
    error = failure(store, *story)
    assert error.exit_code == code
    assert sentence in str(error)


def test_a_worker_that_takes_too_much_memory_twice_ends_it(store: Objects) -> None:
    error = failure(
        store,
        pod(0, "Failed", 137, reason="OOMKilled"),
        all_of(pod(0, "Failed", 137, reason="OOMKilled"), pod(1, "Failed", 137, reason="OOMKilled")),
    )
    assert error.exit_code == 65
    assert "took more memory than its limit of 4Gi; raise it, as in --job-options" in str(error)


def test_an_image_that_is_not_there_ends_it(store: Objects) -> None:
    def pending(cluster: Memory) -> None:
        pod(0, "Pending")(cluster)
        waiting = {"waiting": {"reason": "ErrImagePull", "message": "train:1: not found"}}
        cluster.objects["Pod", f"{NAME}-0-abcde"]["status"]["containerStatuses"][0]["state"] = waiting

    error = failure(store, pending)
    assert error.exit_code == 65
    assert "the workers cannot start: container worker waits, ErrImagePull: train:1: not found" in str(error)


def test_a_job_in_a_queue_and_a_pod_without_a_node_are_waited_for_and_told_once(
    store: Objects, caplog: pytest.LogCaptureFixture
) -> None:
    def admitted(cluster: Memory) -> None:
        cluster.objects["Job", NAME]["spec"]["suspend"] = False
        pod(0, "Pending")(cluster)
        full = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
        cluster.objects["Pod", f"{NAME}-0-abcde"]["status"] = {"phase": "Pending", "conditions": [full]}

    queued = replace(TRAINING, options=JobOptions(queue="team-a"))
    story = [nothing, nothing, nothing, admitted, nothing, nothing, all_of(pod(0, "Succeeded", 0), ends("Complete"))]
    with caplog.at_level(logging.INFO, "colchis"):
        follow(Memory(*story), store, queued)
    assert caplog.text.count("waiting for workers to start") == 2
    assert "the job is suspended until queue team-a admits it" in caplog.text
    assert "is not scheduled: 0/1 nodes are available" in caplog.text


def test_a_job_whose_controller_makes_no_pod_is_told_of(
    store: Objects, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubeflow Trainer says in an event alone that its JobSet was refused."""
    monkeypatch.setattr(_training_job, "PODLESS", 0.0)
    with caplog.at_level(logging.INFO, "colchis"):
        follow(Memory(nothing, nothing, nothing, ends("Complete")), store)
    assert caplog.text.count(f"no pod is made yet; see: kubectl describe job {NAME}") == 1


def test_a_chief_that_is_through_is_enough(store: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others may have failed when it left: there is a model."""
    empty: dict[str, dict[str, dict[str, Any]]] = {}
    result = Result(fingerprint="key", files=(), tree="t", signature=empty, frameworks={}, history=())
    store.write(training_key("run-1", "result.json"), encode(result))
    story = all_of(pod(0, "Succeeded", 0), pod(1, "Failed", 75), ends("Failed", "BackoffLimitExceeded"))
    follow(Memory(story), store)
    monkeypatch.setattr(_training_job, "LAST", 0.0)
    follow(Memory(pod(0, "Succeeded", 0), nothing, nothing, nothing), store)


def test_an_api_server_that_is_away_for_a_moment_is_waited_for_and_the_job_stays_where_it_is_longer(
    store: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(Memory(nothing, away, away, ends("Complete")), store)
    monkeypatch.setattr(_training_job, "AWAY", 0.0)
    cluster = Memory(nothing, away, away, away)
    with pytest.raises(AwayError, match="not reachable"):
        follow(cluster, store)
    assert ("Job", NAME) in cluster.objects


def test_a_job_that_someone_deletes_is_a_sentence(store: Objects) -> None:
    def vanish(cluster: Memory) -> None:
        del cluster.objects["Job", NAME]

    assert "was deleted by someone else; run it again" in str(failure(store, nothing, vanish))


def stop(_: Memory) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_stop_deletes_the_job_and_keeps_the_logs(store: Objects) -> None:
    before = signal.getsignal(signal.SIGTERM)
    running = pod(0, "Running", log="2026-11-22T20:00:01Z epoch 1\n")
    error = failure(store, all_of(running, nothing), stop, nothing, nothing, nothing)
    assert isinstance(error, StoppedError)
    assert str(error).startswith(f"asked to stop, so Job {NAME} was deleted; run it again")
    assert store.read(training_key("run-1", "worker-0.log")) == b"epoch 1\n"
    assert signal.getsignal(signal.SIGTERM) == before


def own_pod(**metadata: str) -> Object:
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "name": "run-x",
        "uid": "u",
        "controller": True,
    }
    spec = {"serviceAccountName": "colchis-train"}
    return {
        "kind": "Pod",
        "metadata": {"name": "me", "labels": {}, "ownerReferences": [workflow], **metadata},
        "spec": spec,
    }


def test_in_a_workflow_the_job_belongs_to_it_and_stays_where_only_the_pod_goes(
    store: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLCHIS_POD", "me")
    cluster = Memory(nothing, stop, nothing, nothing, nothing)
    cluster.objects["Pod", "me"] = own_pod(deletionTimestamp="now")
    with pytest.raises(StoppedError):
        follow(cluster, store)
    made = cluster.objects["Job", NAME]
    assert made["metadata"]["ownerReferences"] == [
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "run-x", "uid": "u"}
    ]
    assert made["spec"]["template"]["spec"]["serviceAccountName"] == "colchis-train"
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels["workflows.argoproj.io/workflow"] == "run-x"

    cluster.objects["Pod", "me"] = own_pod()  # argo stop signals, and deletes nothing
    cluster.story = [nothing, stop, nothing, nothing, nothing]
    with pytest.raises(StoppedError, match="was deleted"):
        follow(cluster, store)
    assert ("Job", NAME) not in cluster.objects


def test_an_operators_job_that_failed_for_a_lost_pod_is_made_anew_so_often(store: Objects) -> None:
    """Training operator 1.8 takes a pod that is being deleted for one that failed, and the job with it."""
    lost = ends("Failed", "TFJobFailed", "1 Worker replica(s) failed.")

    class Operator(Memory):
        def get(self, kind: str, name: str) -> Object | None:
            if kind == "TFJob" and (kind, name) in self.objects and self.story:
                self.objects["Job", name] = self.objects[kind, name]  # steps tell of a Job
                self.story.pop(0)(self)
            return deepcopy(self.objects.get((kind, name)))

    training = replace(TRAINING, backend="tfjob")
    cluster = Operator(nothing, lost, ends("Succeeded"))
    follow(cluster, store, training)
    policy = "apply NetworkPolicy"
    assert cluster.calls == [policy, "apply TFJob", policy, "delete TFJob"] * 2
    cluster = Operator(nothing, lost, lost)
    with pytest.raises(LostError, match=r"TFJob .* failed \(TFJobFailed: 1 Worker"):
        follow(cluster, store, training)
    assert cluster.calls.count("apply TFJob") == 1 + training.options.restarts


def test_what_an_earlier_try_left_is_waited_for(store: Objects) -> None:
    """Two sets of workers under one name would meet each other."""
    cluster = Memory(nothing, ends("Complete"))
    pod(0, "Running")(cluster)
    threading.Timer(0.3, lambda: cluster.objects.pop(("Pod", f"{NAME}-0-abcde"))).start()
    began = time.monotonic()
    follow(cluster, store)
    assert time.monotonic() - began > 0.25


def test_a_job_that_went_well_is_kept_where_that_was_asked_for(store: Objects) -> None:
    kept = replace(TRAINING, options=JobOptions(keep="1h"))
    cluster = Memory(nothing, all_of(ends("Complete"), pod(0, "Succeeded", 0, log="2026-11-22T20:00:01Z epoch 1\n")))
    follow(cluster, store, kept)
    assert cluster.calls == MADE
    assert cluster.objects["Job", NAME]["spec"]["ttlSecondsAfterFinished"] == 3600
    assert store.read(training_key("run-1", "worker-0.log")) == b"epoch 1\n"

    cluster = Memory(nothing, ends("Failed", "BackoffLimitExceeded"))
    with pytest.raises(LostError):
        follow(cluster, store, kept)
    assert cluster.calls[-1] == "delete Job", "the next attempt could not tell its failure from its own"


def test_a_kept_job_whose_result_is_gone_is_made_anew(store: Objects) -> None:
    """Nobody follows a job that has ended well: its model was removed, or the store is another one."""
    cluster = Memory(nothing, all_of(ends("Complete")))
    kept = replace(TRAINING, options=JobOptions(keep="1h"))
    follow(cluster, store, kept)
    cluster.calls.clear()
    cluster.story = [nothing, nothing, nothing, ends("Complete")]
    follow(cluster, store, kept)
    assert cluster.calls == ["delete Job", *MADE]


class Nested(Memory):
    """A cluster whose steps tell of a JobSet, or of a TrainJob, as of the Job that the stories name."""

    def get(self, kind: str, name: str) -> Object | None:
        if kind in {"JobSet", "TrainJob"} and (kind, name) in self.objects and self.story:
            self.objects["Job", name] = self.objects[kind, name]
            self.story.pop(0)(self)
        return deepcopy(self.objects.get((kind, name)))


def test_a_jobset_is_followed_and_its_own_job_says_why_it_failed(store: Objects) -> None:
    jobset = replace(TRAINING, backend="jobset")
    cluster = Nested(nothing, pod(0, "Running"), all_of(ends("Completed"), pod(0, "Succeeded", 0)))
    follow(cluster, store, jobset)
    assert cluster.calls == ["apply NetworkPolicy", "apply JobSet", "apply NetworkPolicy", "delete JobSet"]

    cluster = Nested(nothing, ends("Failed", "FailJobSetFailurePolicyAction", "applying FailJobSet"))
    late = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active longer"}
    cluster.objects["Job", f"{NAME}-worker-0"] = {"spec": {}, "status": {"conditions": [late]}}
    with pytest.raises(InputError, match=r"JobSet .* took longer than its 24 hours"):
        follow(cluster, store, jobset)


def test_a_train_job_has_its_runtime_before_it_and_none_of_an_earlier_try(store: Objects) -> None:
    training = replace(TRAINING, backend="trainjob")
    beside = ["apply NetworkPolicy", "apply TrainingRuntime"]
    cluster = Nested(nothing, pod(0, "Running"), all_of(ends("Complete"), pod(0, "Succeeded", 0)))
    follow(cluster, store, training)
    assert cluster.calls == [*beside, "apply TrainJob", *beside, "delete TrainJob"]
    owners = cluster.objects["TrainingRuntime", NAME]["metadata"]["ownerReferences"]
    assert [(owner["kind"], owner["name"]) for owner in owners] == [("TrainJob", NAME)]

    cluster.calls.clear()  # a runtime was left, as where a step was killed before it made the job
    cluster.story = [nothing, all_of(ends("Complete"))]
    follow(cluster, store, training)
    assert cluster.calls[:3] == ["delete TrainingRuntime", *beside]
