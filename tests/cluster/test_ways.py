"""Submission, all three ways: as the Argo UI does it, by `argo submit`, and by the clock; the clock is set first."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cluster.beside import program
from tests.cluster.installed import ARGO, AWS, MANIFESTS, NEEDS_CLUSTER, Installation, Run, until

from colchis_steps._formats.data_v1 import DataManifest
from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.models import Alias, Code, Record
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

pytestmark = NEEDS_CLUSTER
CRON = "colchis-retrain"
OF_PODS = {"AWS_ENDPOINT_URL_S3": AWS["AWS_ENDPOINT_URL_S3"]}


@pytest.fixture(scope="module")
def no_news(here: Installation) -> str:
    """Put a version on record that was trained on the data there are, as the one that is served; give the sentence."""
    digest = read_document(open_store(here.data), "manifest.json", DataManifest).digest
    record = Record(
        model="digits", version=4, run="r0", image="", digest="", tree="", manifest="", manifest_digest="",
        data=here.data, data_digest=digest, code=Code(entry=""), hyperparameters={}, metrics={}, verdict="pass",
        frameworks={}, step_images={}, workflow="", created_by="", created_at=now(),
    )  # fmt: skip
    here.store.write("models/digits/4/record.json", encode(record))
    alias = Alias(model="digits", version=4, updated_at=now())
    here.store.write("models/digits/aliases/stable.json", encode(alias))
    return f"no new data: digits version 4 was trained on {here.data}, and stays"


def change(here: Installation, **spec: Any) -> None:
    here.kubectl("patch", "cronworkflow", CRON, "--type=merge", "--patch", json.dumps({"spec": spec}))


def started(here: Installation) -> list[str]:
    found = here.get("workflows", f"--selector=workflows.argoproj.io/cron-workflow={CRON}")["items"]
    return [workflow["metadata"]["name"] for workflow in found]


def arguments(here: Installation) -> list[dict[str, str]]:
    """Return what the cron job sets, for this test's prefix of the bucket."""
    given = {"data": f"{here.url}/data/digits", "store": here.url, "only-new-data": "true", "workers": "1"}
    return [{"name": name, "value": value} for name, value in given.items()]


def test_nothing_runs_by_the_clock_before_somebody_applies_it(here: Installation) -> None:
    assert here.get("cronworkflows")["items"] == []


@pytest.fixture(scope="module")
def night(here: Installation, no_news: str) -> datetime:
    """Let the cron job run at the next minute that begins in 5 s or more, by when the controller knows; give it."""
    here.kubectl("apply", "--kustomize", str(MANIFESTS / "nightly"))
    at = datetime.now(UTC) + timedelta(seconds=65)
    workflow = {"arguments": {"parameters": arguments(here)}, "workflowTemplateRef": {"name": "colchis-pipeline"}}
    change(
        here,
        schedules=[f"{at.minute} {at.hour} * * *"],
        stopStrategy={"expression": "cronworkflow.succeeded >= 1"},
        workflowSpec=workflow,
    )
    return at.replace(second=0, microsecond=0)


@pytest.fixture(scope="module")
def by_argo(here: Installation, night: datetime) -> dict[str, "subprocess.Popen[str]"]:
    """Submit a run without new data and one without data by `argo submit --wait`, as in CI."""
    command = [program("argo"), "--namespace", here.namespace, "submit", "--from=workflowtemplate/colchis-pipeline"]
    running = {}
    for data in ("digits", "absent"):
        given = {"store": here.url, "data": f"{here.url}/data/{data}", "only-new-data": "true"}
        words = [f"--parameter={name}={value}" for name, value in given.items()]
        running[data] = subprocess.Popen(
            [*command, "--wait", "--output=name", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    return running


def ask(path: str, given: object = None) -> Any:
    data = None if given is None else json.dumps(given).encode()
    request = urllib.request.Request(f"{ARGO}/{path}", data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def watched(here: Installation, name: str) -> Iterator[Run]:
    """Yield the run each time that the server tells of a change, until it has ended."""
    where = f"api/v1/workflow-events/{here.namespace}?listOptions.fieldSelector=metadata.name={name}"
    request = urllib.request.Request(f"{ARGO}/{where}", headers={"Accept": "text/event-stream"})
    with urllib.request.urlopen(request, timeout=120) as events:
        for line in events:
            if line.startswith(b"data: "):
                run = Run(json.loads(line.removeprefix(b"data: "))["result"]["object"])
                yield run
                if run.workflow.get("status", {}).get("finishedAt"):
                    return


@pytest.mark.usefixtures("by_argo")
def test_the_form_has_defaults_choices_and_texts(here: Installation) -> None:
    found = ask(f"api/v1/workflow-templates/{here.namespace}")["items"]
    by_name = {template["metadata"]["name"]: template for template in found}
    assert len(by_name) >= 10
    pipeline = by_name["colchis-pipeline"]
    assert pipeline["metadata"]["annotations"]["workflows.argoproj.io/title"].startswith("Colchis: ")
    parameters = {parameter["name"]: parameter for parameter in pipeline["spec"]["arguments"]["parameters"]}
    assert all(parameter["description"] for parameter in parameters.values())
    assert parameters["builder"]["enum"] == ["kaniko", "direct"]
    assert parameters["builder"]["value"] == "kaniko"


def test_a_run_is_submitted_watched_and_its_report_read(here: Installation) -> None:
    parameters = [f"store={here.url}", f"data={here.url}/data/absent", "model=ui"]
    options = {"parameters": parameters, "generateName": "ui-"}
    submission = {"resourceKind": "WorkflowTemplate", "resourceName": "colchis-pipeline", "submitOptions": options}
    name = ask(f"api/v1/workflows/{here.namespace}/submit", submission)["metadata"]["name"]
    seen = list(watched(here, name))
    run = seen[-1]
    assert [phase for phase in dict.fromkeys(run.phase for run in seen) if phase] == ["Running", "Failed"]
    assert run.workflow["metadata"]["labels"]["colchis.dev/model"] == "ui"
    (pod,) = run.attempts("validate-data")
    sentence = (
        f"{here.url}/data/absent holds no data set; import one (colchis data import NAME --to STORE) and give the URI"
    )
    assert pod["message"].startswith(f"main: Error (exit code 65): {sentence}")
    assert run.outputs["summary"].startswith(f"validate_data failed: {sentence}")
    assert "holds no data set" in here.report(run)


@pytest.mark.parametrize(("data", "code", "phase"), [("digits", 0, "Succeeded"), ("absent", 1, "Failed")])
def test_argo_submit_waits_and_its_exit_code_says_how_the_run_ended(
    here: Installation, by_argo: dict[str, "subprocess.Popen[str]"], data: str, code: int, phase: str
) -> None:
    told, error = by_argo[data].communicate(timeout=200)
    assert by_argo[data].returncode == code, error
    assert here.run(told.split()[0]).phase == phase


def test_a_night_without_new_data_skips_and_says_so(here: Installation, night: datetime, no_news: str) -> None:
    name = until(150, "a run by the clock", lambda: next(iter(started(here)), None))
    begun = datetime.fromisoformat(here.run(name).workflow["metadata"]["creationTimestamp"])
    assert begun.replace(second=0) == night
    run = here.ended(name, 120)
    assert run.phase == "Succeeded", run.told()
    assert run.outputs["summary"] == no_news
    assert run.node("candidate")["phase"] == "Omitted"
    assert run.node("publish")["phase"] == "Omitted"
    assert [n["displayName"] for n in run.nodes if n["type"] == "Pod" and "onExit" not in n["name"]] == [
        "validate-data(0)"
    ]
    until(60, "the stop of the cron job", lambda: here.get("cronworkflow", CRON)["status"].get("phase") == "Stopped")


@pytest.mark.long
def test_no_run_starts_beside_another(here: Installation) -> None:
    """A run that waits for its store is still there a minute later, and alone."""
    before = set(started(here))
    parameters = [*arguments(here)[1:], {"name": "data", "value": "s3://colchis-that-waits/data/digits"}]
    waiting = {"AWS_ENDPOINT_URL_S3": "http://198.51.100.1:9"}  # an address of documentation: nobody answers
    here.kubectl("patch", "configmap", "colchis", "--type=merge", "--patch", json.dumps({"data": waiting}))
    workflow = {"arguments": {"parameters": parameters}, "workflowTemplateRef": {"name": "colchis-pipeline"}}
    change(here, schedules=["* * * * *"], workflowSpec=workflow, stopStrategy=None)
    here.kubectl("patch", "cronworkflow", CRON, "--type=merge", "--patch", '{"status": {"phase": "Active"}}')
    (name,) = until(150, "a run by the clock", lambda: set(started(here)) - before or None)

    def next_minute() -> bool:
        last = here.get("cronworkflow", CRON)["status"]["lastScheduledTime"]
        return (datetime.now(UTC) - datetime.fromisoformat(last)).total_seconds() > 75

    until(150, "the next minute", next_minute)
    assert set(started(here)) - before == {name}
    assert here.run(name).phase == "Running"
    change(here, suspend=True)
    here.kubectl("patch", "configmap", "colchis", "--type=merge", "--patch", json.dumps({"data": OF_PODS}))
    here.kubectl("patch", "workflow", name, "--type=merge", "--patch", '{"spec": {"shutdown": "Terminate"}}')
    here.ended(name, 120)
