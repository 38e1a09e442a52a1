"""A job is made once, with what stands beside it, or found again; and never two of one name."""

import logging
import threading
import time
from dataclasses import replace

import pytest
from tests.steps._training.backends.memory import (
    MADE,
    NAME,
    TRAINING,
    Memory,
    Nested,
    all_of,
    ends,
    follow,
    nothing,
    pod,
)

from colchis_steps._manifests.job_options import JobOptions
from colchis_steps._manifests.training import Training
from colchis_steps._manifests.training_jobs import job
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects


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


def test_what_an_earlier_try_left_is_waited_for(store: Objects) -> None:
    """Two sets of workers under one name would meet each other."""
    cluster = Memory(nothing, ends("Complete"))
    pod(0, "Running")(cluster)
    threading.Timer(0.3, lambda: cluster.objects.pop(("Pod", f"{NAME}-0-abcde"))).start()
    began = time.monotonic()
    follow(cluster, store)
    assert time.monotonic() - began > 0.25


def test_a_kept_job_whose_result_is_gone_is_made_anew(store: Objects) -> None:
    """Nobody follows a job that has ended well: its model was removed, or the store is another one."""
    cluster = Memory(nothing, all_of(ends("Complete")))
    kept = replace(TRAINING, options=JobOptions(keep="1h"))
    follow(cluster, store, kept)
    cluster.calls.clear()
    cluster.story = [nothing, nothing, nothing, ends("Complete")]
    follow(cluster, store, kept)
    assert cluster.calls == ["delete Job", *MADE]


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
