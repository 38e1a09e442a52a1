"""Following a job: made once, found again, explained, and removed; the cluster is in memory."""

import logging
import os
import signal
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from tests.steps._training.backends.memory import (
    ENDED,
    MADE,
    NAME,
    TRAINING,
    Memory,
    Nested,
    Step,
    all_of,
    away,
    ends,
    follow,
    nothing,
    pod,
)

from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import failure_key, training_key
from colchis_steps._formats.training import Cause, Failure, Result
from colchis_steps._manifests.job_options import JobOptions
from colchis_steps._manifests.objects import Object
from colchis_steps._step.errors import InputError, StepError
from colchis_steps._store.api import Objects
from colchis_steps._training.backends import job as _training_job
from colchis_steps._training.backends.job import AwayError, LostError
from colchis_steps._training.backends.making import StoppedError


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
    assert made["spec"]["template"]["spec"]["serviceAccountName"] == "colchis-worker"
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
