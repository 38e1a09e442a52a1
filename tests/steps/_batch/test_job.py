"""A batch on the pods of a Job: made once or found again, followed, explained, removed; the cluster is in memory."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from colchis_steps import batch
from colchis_steps._batch import job
from colchis_steps._batch.job import run_job
from colchis_steps._manifests.batch_jobs import LABEL_JOB, BatchJob, batch_job
from colchis_steps._manifests.objects import Object
from colchis_steps._step.errors import InputError, StepError, TransientError

ASKED = BatchJob("run-1", "buyers", 2, "registry/train:1", ("--part=work", "--to=s3://b/$(HOME)"))
NAME = ASKED.name
Step = Callable[[dict[tuple[str, str], Object]], None]


class Memory:
    """A cluster in memory; each step of the story happens before the next look at the job."""

    namespace = "ml"

    def __init__(self, *story: Step) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.story, self.calls = list(story), list[str]()

    def own(self, kind: str, name: str, labels: Any) -> Object | None:
        return self.objects.get((kind, name))

    def get(self, kind: str, name: str) -> Object | None:
        if kind == "Job" and self.story:
            self.story.pop(0)(self.objects)
        return deepcopy(self.objects.get((kind, name)))

    def list(self, kind: str, labels: dict[str, str]) -> Any:
        assert labels == {LABEL_JOB: NAME}
        return [found for (of, _), found in self.objects.items() if of == kind]

    def apply(self, manifest: Object) -> Object:
        self.calls.append(f"apply {manifest['kind']}")
        self.objects[manifest["kind"], manifest["metadata"]["name"]] = {**deepcopy(manifest), "status": {}}
        return manifest

    def delete(self, kind: str, name: str) -> None:
        self.calls.append(f"delete {kind}")
        self.objects.pop((kind, name), None)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "POLL", 0.0)
    monkeypatch.delenv("COLCHIS_POD", raising=False)


def nothing(_: Any) -> None:
    """Nothing happens."""


def ends(kind: str, reason: str = "", message: str = "") -> Step:
    def step(objects: dict[tuple[str, str], Object]) -> None:
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        objects["Job", NAME]["status"] = {"conditions": [condition], "succeeded": 2}

    return step


def pod(phase: str, code: int | None = None, message: str = "") -> Step:
    def step(objects: dict[tuple[str, str], Object]) -> None:
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code, "message": message}}
        status = {"phase": phase, "containerStatuses": [{"name": "predict", "state": state}]}
        objects["Pod", "one"] = {"metadata": {"name": "one"}, "status": status}

    return step


def run(*story: Step) -> Memory:
    cluster = Memory(*story)
    run_job(cluster, ASKED)  # type: ignore[arg-type]
    return cluster


def failure(*story: Step) -> StepError:
    cluster = Memory(*story)
    with pytest.raises(StepError) as raised:
        run_job(cluster, ASKED)  # type: ignore[arg-type]
    assert cluster.calls[-1] == "delete Job"
    return raised.value


def test_a_job_is_made_followed_and_removed() -> None:
    assert run(nothing, pod("Running"), pod("Failed", 137), ends("Complete")).calls == ["apply Job", "delete Job"]


def test_one_that_is_there_is_followed_and_one_that_failed_is_made_anew() -> None:
    cluster = Memory(ends("Complete"))
    cluster.objects["Job", NAME] = batch_job(ASKED) | {"status": {}}
    run_job(cluster, ASKED)  # type: ignore[arg-type]
    assert cluster.calls == ["delete Job"]
    cluster = Memory(nothing, ends("Complete"))
    failed = {"conditions": [{"type": "Failed", "status": "True"}]}
    cluster.objects["Job", NAME] = batch_job(ASKED) | {"status": failed}
    run_job(cluster, ASKED)  # type: ignore[arg-type]
    assert cluster.calls == ["delete Job", "apply Job", "delete Job"]


def test_what_a_pod_says_is_the_reason() -> None:
    error = failure(pod("Failed", 65, "a.parquet lacks the column 'income'"), ends("Failed", "PodFailurePolicy"))
    assert isinstance(error, InputError)
    assert "a.parquet lacks the column 'income'" in str(error)
    error = failure(pod("Failed", 75, "the store is away"), ends("Failed", "BackoffLimitExceeded"))
    assert isinstance(error, TransientError)
    assert "took longer than its 24 hours" in str(failure(ends("Failed", "DeadlineExceeded")))


def test_a_job_that_somebody_deletes_is_told() -> None:
    def gone(objects: dict[tuple[str, str], Object]) -> None:
        objects.pop(("Job", NAME))

    assert "was deleted by someone else" in str(failure(nothing, gone))


def test_a_pod_has_no_token_and_the_key_of_batch_alone() -> None:
    found = batch_job(ASKED)
    assert (found["spec"]["completionMode"], found["spec"]["completions"], found["spec"]["parallelism"]) == (
        "Indexed", 2, 2,
    )  # fmt: skip
    spec = found["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    (keys,) = (volume for volume in spec["volumes"] if volume["name"] == "keys")
    assert [source["secret"]["name"] for source in keys["projected"]["sources"]] == ["colchis-s3", "colchis-s3-batch"]
    (container,) = spec["containers"]
    assert container["args"] == ["--part=work", "--to=s3://b/$$(HOME)"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--from=/tmp/rows", "--to=s3://b/to", "--store=s3://b"], "--from is '/tmp/rows', which pods cannot reach"),
        (["--from=s3://b/x", "--to=file:///to", "--store=s3://b"], "--to is 'file:///to', which pods cannot reach"),
        (["--from=s3://b/x", "--to=s3://b/to", "--store=s3://b"], "$COLCHIS_BATCH_IMAGE names no image"),
    ],
)
def test_what_pods_need(flags: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLCHIS_BATCH_IMAGE", raising=False)
    with pytest.raises(InputError) as raised:
        batch.asked(batch.parser().parse_args(["buyers", *flags]))
    assert sentence in str(raised.value)
