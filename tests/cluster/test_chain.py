"""The whole chain on the cluster: data in the bucket to an answer through the gateway, with both builders."""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from tests.cluster.installed import GATEWAY, NEEDS_CLUSTER, REPOSITORY, Installation, Run, installed, until

from colchis_steps._formats import Alias, Manifest, Record
from colchis_steps._oci import contents
from colchis_steps._serving_client import call
from colchis_steps._store import read_document

pytestmark = NEEDS_CLUSTER
KANIKO, DIRECT = "alpha", "beta"  # one model a builder


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("overlay"), "chain") as installation:
        yield installation


def chain(here: Installation, capsys: pytest.CaptureFixture[str], **parameters: str) -> Run:
    """Run the pipeline to its end and print how long each phase took."""
    run = here.ended(here.submit(**parameters))
    with capsys.disabled():
        print(f"\n{run.name}: {', '.join(f'{name}={value}' for name, value in parameters.items())}")
        for node in sorted((n for n in run.nodes if n["type"] == "Pod"), key=lambda node: node["startedAt"]):
            print(f"  {node['displayName']:28}{seconds(node['startedAt'], node['finishedAt']):6.0f} s")
        status = run.workflow["status"]
        print(f"  {'all, with what is between':28}{seconds(status['startedAt'], status['finishedAt']):6.0f} s")
    assert run.phase == "Succeeded", run.told()
    return run


def seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def record(here: Installation, model: str, version: int) -> Record:
    return read_document(here.store, f"models/{model}/{version}/record.json", Record)


def stable(here: Installation, model: str) -> Alias:
    return read_document(here.store, f"models/{model}/aliases/stable.json", Alias)


def pods(here: Installation, model: str, version: int) -> list[dict[str, Any]]:
    labels = f"colchis.dev/model={model},colchis.dev/version={version}"
    return list(here.get("pods", f"--selector={labels}")["items"])


def answer(model: str) -> str:
    """Ask the model through the gateway for a prediction; give the version that answered."""
    status, found = call(f"{GATEWAY}/v1/models/{model}:predict", {"instances": [[[0] * 8] * 8]}, timeout=10)
    assert status == 200, found
    assert set(found["predictions"][0]) == {"class", "probability"}
    status, found = call(f"{GATEWAY}/v1/models/{model}", timeout=10)
    (version,) = (known["version"] for known in found["model_version_status"] if known["state"] == "AVAILABLE")
    return str(version)


def agrees(here: Installation, run: Run, model: str, version: int) -> None:
    """Hold run, record, image and pods to one digest."""
    known = record(here, model, version)
    assert run.outputs["digest"] == known.digest
    assert known.image == f"{REPOSITORY}/{here.namespace}/{model}@{known.digest}"
    manifest = read_document(here.store, f"models/{model}/{version}/manifest.json", Manifest)
    assert tuple(contents(known.image, insecure=True)) == tuple(sorted(manifest.files, key=lambda file: file.path))
    running = pods(here, model, version)
    assert running
    for pod in running:
        (volume,) = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "model"]
        assert volume["image"]["reference"] == known.image
        assert pod["metadata"]["labels"]["colchis.dev/run"] == run.uid
    assert stable(here, model).image == known.image


def test_kaniko_builds_what_is_then_served(here: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    run = chain(here, capsys, model=KANIKO, builder="kaniko")
    assert run.node("kaniko")["phase"] == "Succeeded"
    assert (run.outputs["verdict"], run.outputs["version"]) == ("pass", "1")
    assert run.outputs["endpoint"] == f"{GATEWAY}/v1/models/{KANIKO}"
    assert run.outputs["summary"].startswith(f"served {KANIKO} version 1: accuracy 0.")
    agrees(here, run, KANIKO, 1)
    assert answer(KANIKO) == "1"
    shown(here, run)


def shown(here: Installation, run: Run) -> None:
    """Look at a run as the UI and ``argo logs`` do: labels, the report as a page, the log of the training."""
    labels = run.workflow["metadata"]["labels"]
    assert labels["colchis.dev/model"] == KANIKO
    for pod in here.get("pods", f"--selector=workflows.argoproj.io/workflow={run.name}")["items"]:
        assert pod["metadata"]["labels"]["colchis.dev/model"] == KANIKO
        assert pod["metadata"]["labels"]["colchis.dev/run"] == run.uid
    assert run.outputs["digest"] in here.report(run)
    selector = f"workflows.argoproj.io/workflow={run.name},app.kubernetes.io/component=train"
    assert re.search(r"epoch 3 of 3: loss", here.kubectl("logs", f"--selector={selector}", "--tail=-1"))


def test_the_direct_builder_gives_another_model_beside_it(
    here: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pods(here, KANIKO, 1)
    run = chain(here, capsys, model=DIRECT, builder="direct")
    assert run.node("kaniko")["phase"] == "Skipped"
    agrees(here, run, DIRECT, 1)
    assert (answer(KANIKO), answer(DIRECT)) == ("1", "1")
    assert [pod["metadata"]["uid"] for pod in pods(here, KANIKO, 1)] == [pod["metadata"]["uid"] for pod in before]


def test_a_second_version_replaces_the_first_and_one_command_goes_back(
    here: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [pod["metadata"]["uid"] for pod in pods(here, DIRECT, 1)]
    hyperparameters = '{"epochs": 4, "global_batch": 64, "seed": 8, "learning_rate": 0.01}'
    run = chain(here, capsys, model=KANIKO, builder="direct", hyperparameters=hyperparameters)
    assert run.outputs["version"] == "2"
    agrees(here, run, KANIKO, 2)
    assert answer(KANIKO) == "2"
    until(60, "the end of the first version's pods", lambda: not pods(here, KANIKO, 1))
    builds = len(here.get("pods", "--selector=app.kubernetes.io/component=build-image")["items"])
    command = ["colchis", "models", "rollback", KANIKO, "--store", here.url, "--namespace", here.namespace]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert answer(KANIKO) == "1"
    assert stable(here, KANIKO).version == 1
    until(60, "the end of the second version's pods", lambda: not pods(here, KANIKO, 2))
    for pod in pods(here, KANIKO, 1):
        events = here.get("events", f"--field-selector=involvedObject.name={pod['metadata']['name']}")["items"]
        told = [event["message"] for event in events if event["reason"] in {"Pulled", "Pulling"}]
        assert told
        assert all("already present" in message for message in told), told
    assert len(here.get("pods", "--selector=app.kubernetes.io/component=build-image")["items"]) == builds
    assert [pod["metadata"]["uid"] for pod in pods(here, DIRECT, 1)] == other
    assert answer(DIRECT) == "1"


def test_a_version_is_explained_from_its_digest_alone(here: Installation) -> None:
    known = record(here, DIRECT, 1)
    command = ["colchis", "explain", known.digest, "--store", here.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert known.data_digest in json.dumps(done.stdout)
