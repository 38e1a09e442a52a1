"""Submission as the Argo UI does it, by the API of Argo's server: the form, the run as it goes, the report."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

from tests.cluster.installed import ARGO, NEEDS_CLUSTER, Installation, Run

pytestmark = NEEDS_CLUSTER


def ask(path: str, given: object = None) -> Any:
    data = None if given is None else json.dumps(given).encode()
    request = urllib.request.Request(f"{ARGO}/{path}", data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def watched(here: Installation, name: str) -> Iterator[Run]:
    """Give the run each time that the server tells of a change, until it has ended."""
    where = f"api/v1/workflow-events/{here.namespace}?listOptions.fieldSelector=metadata.name={name}"
    request = urllib.request.Request(f"{ARGO}/{where}", headers={"Accept": "text/event-stream"})
    with urllib.request.urlopen(request, timeout=120) as events:
        for line in events:
            if line.startswith(b"data: "):
                run = Run(json.loads(line.removeprefix(b"data: "))["result"]["object"])
                yield run
                if run.workflow.get("status", {}).get("finishedAt"):
                    return


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
    sentence = f"{here.url}/data/absent holds no data set; import one (colchis data NAME --to STORE) and give the URI"
    assert pod["message"].startswith(f"main: Error (exit code 65): {sentence}")
    assert run.outputs["summary"].startswith(f"validate_data failed: {sentence}")
    assert "holds no data set" in here.report(run)
