"""The whole chain on the cluster: data in the bucket to an answer through the gateway, with both builders."""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from tests.cluster.conftest import by_job
from tests.cluster.installed import GATEWAY, NEEDS_CLUSTER, REPOSITORY, Installation, Run, until

from colchis_steps._formats.models import Alias, Manifest, Record
from colchis_steps._manifests.objects import KINDS as OBJECTS
from colchis_steps._manifests.training import KINDS
from colchis_steps._oci.contents import contents
from colchis_steps._serving.client import call
from colchis_steps._store.documents import read_document

pytestmark = NEEDS_CLUSTER
KANIKO, DIRECT = "alpha", "beta"  # one model a builder


def went_through(run: Run, record_property: Callable[[str, object], None]) -> Run:
    """Record how long each phase of the run took; it must have succeeded."""
    spans = [(n["displayName"], n["startedAt"], n["finishedAt"]) for n in run.nodes if n["type"] == "Pod"]
    spans.sort(key=lambda span: span[1])
    spans.append(("all, with what is between", *(run.workflow["status"][end] for end in ("startedAt", "finishedAt"))))
    lines = [f"  {name:28}{seconds(start, end):6.0f} s" for name, start, end in spans]
    record_property("phases", "\n".join([f"{run.name}:", *lines]))
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


def build_pods(here: Installation) -> set[str]:
    found = here.get("pods", "--selector=app.kubernetes.io/component=build-image")["items"]
    return {pod["metadata"]["uid"] for pod in found}


def answer(model: str) -> str:
    """Ask the model through the gateway for a prediction; give the version that answered."""
    status, found = call(f"{GATEWAY}/v1/models/{model}:predict", {"instances": [[[0] * 8] * 8]}, timeout=10)
    assert status == 200, found
    assert {"class", "probability"} <= set(found["predictions"][0])
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
        assert mounted(pod) == known.image
        assert pod["metadata"]["labels"]["colchis.dev/run"] == run.uid
    assert stable(here, model).image == known.image


def mounted(pod: dict[str, Any]) -> str:
    """Return the image whose files a pod serves: by an image volume, or as an init container copies them."""
    (volume,) = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "model"]
    if "image" in volume:
        return str(volume["image"]["reference"])
    (copier,) = pod["spec"]["initContainers"]
    (reference,) = [arg.removeprefix("--image=") for arg in copier["args"] if arg.startswith("--image=")]
    return str(reference)


def made_by(here: Installation, run: Run, model: str, version: int) -> None:
    """Hold the job that trained, which was to be kept, to the version that it says it made."""
    (backend,) = [p["value"] for p in run.workflow["spec"]["arguments"]["parameters"] if p["name"] == "backend"]
    labels = f"--selector=colchis.dev/run={run.uid},app.kubernetes.io/name=colchis-training"
    (job,) = here.get(OBJECTS[KINDS[backend]][1], labels)["items"]
    notes = {name: job["metadata"]["annotations"][f"colchis.dev/{name}"] for name in ("model", "version", "digest")}
    assert notes == {"model": model, "version": str(version), "digest": run.outputs["digest"]}
    (policy,) = here.get("networkpolicies", labels)["items"]
    assert policy["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]


def test_kaniko_builds_what_is_then_served(
    here: Installation, first_runs: dict[str, Run], record_property: Callable[[str, object], None]
) -> None:
    run = went_through(first_runs[KANIKO], record_property)
    assert run.node("kaniko")["phase"] == "Succeeded"
    assert (run.outputs["verdict"], run.outputs["version"]) == ("pass", "1")
    assert run.outputs["endpoint"] == f"{GATEWAY}/v1/models/{KANIKO}"
    assert run.outputs["summary"].startswith(f"served {KANIKO} version 1: accuracy 0.")
    agrees(here, run, KANIKO, 1)
    assert answer(KANIKO) == "1"
    assert run.outputs["digest"] in here.report(run)


def test_the_direct_builder_a_job_and_a_copied_volume_give_another_model_beside_it(
    here: Installation, first_runs: dict[str, Run], record_property: Callable[[str, object], None]
) -> None:
    run = went_through(first_runs[DIRECT], record_property)
    assert run.node("kaniko")["phase"] == "Skipped"
    assert run.node("job")["phase"] == "Succeeded"
    agrees(here, run, DIRECT, 1)
    made_by(here, run, DIRECT, 1)
    assert (answer(KANIKO), answer(DIRECT)) == ("1", "1")


def test_the_graph_has_a_node_a_pod_one_for_its_attempts_and_few_besides(first_runs: dict[str, Run]) -> None:
    """What the UI draws: DAGs are pipeline, prepare, candidate, publish and release; five tasks were skipped."""
    again = re.compile(r".*\([1-9]\d*\)")  # a busy cluster may take more than one attempt
    found = Counter(node["type"] for node in first_runs[KANIKO].nodes if not again.fullmatch(node["displayName"]))
    assert found == {"Pod": 9, "Retry": 9, "DAG": 5, "Skipped": 5}, first_runs[KANIKO].told()


@pytest.mark.parametrize("model", [KANIKO, DIRECT])
def test_the_run_and_its_pods_bear_the_models_name_and_argo_logs_has_the_training(
    first_runs: dict[str, Run], model: str
) -> None:
    """The pods of a job go with it, so their log is what the step that followed them handed on."""
    run = first_runs[model]
    assert run.workflow["metadata"]["labels"]["colchis.dev/model"] == model
    assert run.pods
    for pod in run.pods:
        assert pod["metadata"]["labels"]["colchis.dev/model"] == model
        assert pod["metadata"]["labels"]["colchis.dev/run"] == run.uid
    assert re.search(r"epoch 3 of 3: loss", run.log)


def test_a_second_version_replaces_the_first_and_one_command_goes_back(
    here: Installation, first_runs: dict[str, Run], record_property: Callable[[str, object], None]
) -> None:
    assert first_runs.keys() == {KANIKO, DIRECT}
    other = [pod["metadata"]["uid"] for pod in pods(here, DIRECT, 1)]
    hyperparameters = '{"epochs": 4, "global_batch": 64, "seed": 8, "learning_rate": 0.01}'
    run = went_through(
        here.ended(here.submit(model=KANIKO, builder="direct", hyperparameters=hyperparameters, **by_job("trainjob"))),
        record_property,
    )
    assert run.outputs["version"] == "2"
    agrees(here, run, KANIKO, 2)
    made_by(here, run, KANIKO, 2)
    assert answer(KANIKO) == "2"
    until(60, "the end of the first version's pods", lambda: not pods(here, KANIKO, 1))
    builds = build_pods(here)
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
    assert build_pods(here) <= builds  # the oldest may be collected meanwhile
    assert [pod["metadata"]["uid"] for pod in pods(here, DIRECT, 1)] == other
    assert answer(DIRECT) == "1"


@pytest.mark.usefixtures("first_runs")
def test_kubectl_lists_what_is_on_record_and_nobody_changes_it(here: Installation) -> None:
    lines = here.kubectl("get", "modelversions", "--no-headers").splitlines()
    listed = {tuple(line.split()[1:5]) for line in lines}
    for model in (KANIKO, DIRECT):
        known = record(here, model, 1)
        assert (model, "1", "pass", known.digest) in listed
        spec = here.get("modelversion", f"{model}-1")["spec"]
        assert (spec["image"], spec["metrics"], spec["run"]) == (known.image, known.metrics, known.run)
        assert spec["record"] == f"{here.url}/models/{model}/1/record.json"
    change = ["patch", "modelversion", f"{DIRECT}-1", "--type=merge", "--patch", '{"spec": {"verdict": "fail"}}']
    with pytest.raises(AssertionError, match="a model version never changes"):
        here.kubectl(*change)


@pytest.mark.usefixtures("first_runs")
def test_a_version_is_explained_from_its_digest_alone(here: Installation) -> None:
    known = record(here, DIRECT, 1)
    command = ["colchis", "explain", known.digest, "--store", here.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert known.data_digest in json.dumps(done.stdout)
