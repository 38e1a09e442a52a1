"""What a job that is kept says of the model that it made; nothing of it fails a run."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.steps._models.test_mirror import RECORD
from tests.steps.kube_server import Server, serving

from colchis_steps._formats.runs import StepResult
from colchis_steps._models.kept_job import annotate_job

JOB = {"kind": "TrainJob", "name": "train-digits-1", "namespace": "team", "uid": "uid-1"}
PLACE = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs/train-digits-1"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(tmp_path, monkeypatch) as found:
        yield found


def trained(job: object) -> StepResult:
    return StepResult(
        "train", "r", "succeeded", {}, "2026-01-01T00:00:00Z", details={"backend": "trainjob", "job": job}
    )


def test_a_kept_job_says_which_version_it_made(server: Server) -> None:
    server.answers[PLACE] = (200, {"kind": "TrainJob", "metadata": {"name": "train-digits-1"}})
    annotate_job(RECORD, trained(JOB))
    [(method, path, _, body)] = server.asked
    assert (method, path.partition("?")[0]) == ("PATCH", PLACE)
    assert json.loads(body)["metadata"]["annotations"] == {
        "colchis.dev/model": "digits",
        "colchis.dev/version": "3",
        "colchis.dev/digest": "sha256:1",
    }


@pytest.mark.parametrize("result", [None, trained(None), StepResult("train", "r", "succeeded", {}, "")])
def test_without_a_kept_job_no_cluster_is_asked(server: Server, result: StepResult | None) -> None:
    annotate_job(RECORD, result)
    assert server.asked == []


@pytest.mark.parametrize(
    ("status", "message", "says"),
    [
        (
            403,
            'User "x" cannot patch resource "trainjobs"',
            "bind it to the Role colchis-publish of workflows/manifests",
        ),
        (409, "Precondition failed: UID in precondition", "the cluster refuses TrainJob train-digits-1: Precondition"),
        (503, "starting", "the cluster answers 503"),
    ],
)
def test_what_hinders_it_is_a_warning(
    server: Server, caplog: pytest.LogCaptureFixture, status: int, message: str, says: str
) -> None:
    server.answers[PLACE] = (status, {"message": message})
    with caplog.at_level(logging.WARNING, "colchis"):
        annotate_job(RECORD, trained(JOB))
    assert "digits/3 is on record, but TrainJob train-digits-1 does not say so: " in caplog.text
    assert says in caplog.text


def test_a_job_that_is_gone_is_no_warning(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.answers[PLACE] = (404, {"details": {"kind": "trainjobs", "name": "train-digits-1"}})
    with caplog.at_level(logging.INFO, "colchis"):
        annotate_job(RECORD, trained(JOB))
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_a_machine_without_a_cluster_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with caplog.at_level(logging.WARNING, "colchis"):
        annotate_job(RECORD, trained(JOB))
    assert "no cluster is configured" in caplog.text
