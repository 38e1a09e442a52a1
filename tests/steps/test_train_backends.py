"""What ``train`` says of its back-ends before any cluster is asked: what it renders, and what it refuses."""

import argparse
import os
from pathlib import Path

import pytest
import yaml
from tests.steps.kube_server import serving
from tests.steps.training_data import write_data

from colchis_steps._formats.runs import KeptJob
from colchis_steps._store.opening import open_store
from colchis_steps.train import kept, main, parser, training

BACKENDS = ["indexed-job", "jobset", "pytorchjob", "tfjob", "trainjob"]


@pytest.fixture
def flags(bucket: str, tmp_path: Path) -> list[str]:
    """Flags of a training whose data are in a bucket."""
    write_data(tmp_path / "data", {"train": [8], "eval": [4]})
    store = open_store(f"s3://{bucket}")
    for path in (tmp_path / "data").iterdir():
        store.upload(f"data/thirds/{path.name}", path)
    return [f"--store={store.url}", "--run=r1", "--model=thirds", f"--data={store.url}/data/thirds", "--workers=2"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_back_end_can_be_rendered_and_applied_by_hand(
    backend: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = '--job-options={"queue": "team-a"}'
    assert main([*flags, f"--backend={backend}", "--train-image=train:1", options, "--render"]) == 0
    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    more = {"indexed-job": ["Service"], "trainjob": ["TrainingRuntime"]}.get(backend, [])
    assert [document["kind"] for document in documents[:-1]] == ["NetworkPolicy", *more]
    made = documents[-1]
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert "ownerReferences" not in made["metadata"]
    text = str(documents)
    assert all(flag in text for flag in flags if not flag.startswith("--workers"))
    assert "--fingerprint=sha256:" in text
    assert open_store(flags[0].partition("=")[2]).size("runs/r1/training/train.json") is None, "rendering is not a run"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--backend=tfjob"], "--backend=tfjob runs pods; give their image as --train-image="),
        (["--backend=tfjob", "--train-image=t:1", '--job-options={"gpu": 1}'], "unknown field `gpu`"),
        (
            ["--backend=tfjob", "--train-image=t:1", "--store=file:///x"],
            "--store is file:///x, which pods cannot reach",
        ),
        (["--backend=local", "--render"], "--backend=local starts processes; name another back-end with --render"),
    ],
)
def test_what_cannot_be_run_is_a_sentence(
    more: list[str], sentence: str, flags: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main([*flags, "--render", *more]) == 65
    assert sentence in caplog.text


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_cluster_the_sentence_says_so(
    backend: str, flags: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", os.devnull)
    assert main([*flags, f"--backend={backend}", "--train-image=t:1", f"--workdir={tmp_path / 'w'}"]) == 65
    assert "no cluster is configured" in caplog.text


def asked(backend: str, options: str) -> argparse.Namespace:
    places = ["--store=s3://b", "--run=r1", "--model=thirds", "--data=s3://b/data/thirds", "--namespace=team"]
    return parser().parse_args([*places, f"--backend={backend}", "--train-image=t:1", f"--job-options={options}"])


def test_which_job_is_kept_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keep = asked("jobset", '{"keep": "1h"}')
    name = training(keep, "key").name
    place = f"/apis/jobset.x-k8s.io/v1alpha2/namespaces/team/jobsets/{name}"
    with serving(tmp_path, monkeypatch) as server:
        for args in (asked("jobset", "{}"), asked("local", '{"keep": "1h"}')):
            assert kept(args, "key") is None
        assert server.asked == [], "no cluster is asked where nothing is kept"
        server.answers[place] = (200, {"kind": "JobSet", "metadata": {"name": name, "uid": "u-1"}})
        assert kept(keep, "key") == KeptJob(kind="JobSet", name=name, namespace="team", uid="u-1")
        server.answers[place] = (404, {"details": {"kind": "jobsets", "name": name}})
        assert kept(keep, "key") is None, "its time is over"
        server.answers[place] = (503, {"message": "starting"})
        assert kept(keep, "key") is None
    assert f"JobSet {name} will not say which model it made: the cluster answers 503" in caplog.text


def test_in_a_pod_the_installation_says_which_priority_may_be_asked_for(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options = '--job-options={"priority": "batch", "tolerations": [{"key": "dedicated"}]}'
    wanted = [*flags, "--backend=indexed-job", "--train-image=train:1", options, "--render"]
    assert main(wanted) == 0, "on a laptop who asks is the user"
    monkeypatch.setenv("COLCHIS_POD", "run-1-job")
    assert main(wanted) == 65
    assert "tolerations of 'dedicated' and this installation allows none" in caplog.text
    monkeypatch.setenv("COLCHIS_JOB_ALLOWED", '{"priorities": ["batch"], "tolerations": ["dedicated"]}')
    assert main(wanted) == 0
