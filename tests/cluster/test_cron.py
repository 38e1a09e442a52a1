"""``colchis-retrain`` by the clock: in its time zone, without new data it skips and says so, and it can stop itself."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cluster.installed import AWS, NEEDS_CLUSTER, Installation, until

from colchis_steps._formats import Alias, Code, DataManifest, Record, encode, now
from colchis_steps._store import open_store, read_document

pytestmark = NEEDS_CLUSTER
CRON = "colchis-retrain"
OF_PODS = {"AWS_ENDPOINT_URL_S3": AWS["AWS_ENDPOINT_URL_S3"]}


def serve(here: Installation) -> str:
    """Put a version on record that was trained on the data there are, as the one that is served; give its sentence."""
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
    """Give what the cron job sets, for this test's prefix of the bucket."""
    given = {"data": f"{here.url}/data/digits", "store": here.url, "only-new-data": "true", "workers": "1"}
    return [{"name": name, "value": value} for name, value in given.items()]


def test_it_is_installed_asleep_and_careful(here: Installation) -> None:
    spec = here.get("cronworkflow", CRON)["spec"]
    assert spec["suspend"] is True
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["timezone"] == "UTC"  # the one zone that a controller without a zone database knows too
    assert spec["startingDeadlineSeconds"] > 0
    assert spec["stopStrategy"] == {"expression": "cronworkflow.failed >= 3"}
    assert started(here) == []


def test_a_night_without_new_data_skips_and_says_so(here: Installation) -> None:
    sentence = serve(here)
    at = datetime.now(UTC) + timedelta(seconds=65)  # a minute that begins in 5 s or more: the controller knows by then
    workflow = {"arguments": {"parameters": arguments(here)}, "workflowTemplateRef": {"name": "colchis-pipeline"}}
    change(
        here,
        schedules=[f"{at.minute} {at.hour} * * *"],
        stopStrategy={"expression": "cronworkflow.succeeded >= 1"},
        workflowSpec=workflow,
        suspend=False,
    )
    name = until(150, "a run by the clock", lambda: next(iter(started(here)), None))
    begun = datetime.fromisoformat(here.run(name).workflow["metadata"]["creationTimestamp"])
    assert begun.replace(second=0) == at.replace(second=0, microsecond=0)
    run = here.ended(name, 120)
    assert run.phase == "Succeeded", run.told()
    assert run.outputs["summary"] == sentence
    assert run.node("train")["phase"] == "Skipped"
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
    change(here, schedules=["* * * * *"], workflowSpec=workflow, suspend=False, stopStrategy=None)
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
