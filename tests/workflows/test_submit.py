"""Runs as recorded from a cluster (tests/cluster/submit.yaml): what is shown, what CI gets, the exit code."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from colchis_workflows import submit
from colchis_workflows._argo.errors import InputError, UsageError
from colchis_workflows._runs.node import Node
from colchis_workflows._submit import summary
from colchis_workflows._submit.follow import Followed
from colchis_workflows._submit.workflow import Run, conclusion, exit_code, read

SENTENCE = "column 'age' is absent; add it to the data"


def recorded(name: str) -> dict[str, Any]:
    text = (Path(__file__).parent / "recorded" / f"{name}.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def test_tasks_are_in_the_order_of_the_tree_and_attempts_within_their_task() -> None:
    run = read(recorded("served"))
    assert list(run.tasks) == ["check", "judge", "publish", "publish.upload", "onExit"]
    assert {task.phase for task in run.tasks.values()} == {"Succeeded"}
    assert run.outputs == {"verdict": "pass", "version": "7"}
    assert [attempt.phase for attempt in read(recorded("away")).tasks["judge"].attempts] == ["Failed", "Failed"]


def test_a_failed_task_says_the_sentence_of_its_step_and_its_pod() -> None:
    run = read(recorded("bad-data"))
    assert [(task.path, task.message, task.exit_code) for task in run.failed] == [("judge", SENTENCE, 65)]
    assert run.pods["judge"] == "bad-data-judge-1275518253"
    assert run.tasks["publish"].message == "depends condition not met"


def test_what_an_init_container_says_counts_though_argo_has_no_exit_code_for_it() -> None:
    workflow = json.loads(json.dumps(recorded("bad-data")).replace("main: Error (", "fetch: Error ("))
    for node in workflow["status"]["nodes"].values():
        node.get("outputs", {}).pop("exitCode", None)
    assert "fetch: Error (exit code 65)" in json.dumps(workflow)
    run = read(workflow)
    assert [(task.path, task.message, task.exit_code) for task in run.failed] == [("judge", SENTENCE, 65)]
    assert exit_code(run) == 65


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ([], "it waits; to go on: argo resume r --namespace ml"),
        (
            [{"name": "approve", "valueFrom": {"supplied": {}}}],
            (
                "it waits for approve=YES or NO, after reading s3://b/report.html: argo node set r --namespace ml "
                "--output-parameter approve=YES --node-field-selector displayName=approve; then argo resume r "
                "--namespace ml"
            ),
        ),
    ],
    ids=["no question", "a question"],
)
def test_a_task_that_waits_says_what_for_and_how_it_goes_on(outputs: list[dict[str, Any]], told: str) -> None:
    inputs = [{"name": "report", "value": "s3://b/report.html"}]
    node: dict[str, Any] = {
        "id": "r-1",
        "name": "r.approve",
        "displayName": "approve",
        "type": "Suspend",
        "phase": "Running",
    }
    node |= {"inputs": {"parameters": inputs}, "outputs": {"parameters": outputs}, "templateName": "approve"}
    whole = {"id": "r", "name": "r", "displayName": "r", "type": "DAG", "phase": "Running", "templateName": "main"}
    workflow = {"metadata": {"name": "r", "namespace": "ml"}, "status": {"nodes": {"r": whole, "r-1": node}}}
    assert read(workflow).tasks["approve"].message == told


def test_a_starting_pod_is_pending_without_a_message() -> None:
    task = read(recorded("running")).tasks["judge"]
    assert (task.phase, task.message, task.progress) == ("Pending", "", "")


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("served", 0, "the run succeeded"),
        ("rejected", 3, "the gate or the canary said no; the report says why"),
        ("refused", 3, f"judge: {SENTENCE}"),
        ("bad-data", 65, f"judge: {SENTENCE}"),
        ("away", 75, f"judge: {SENTENCE}"),
        ("stopped", 75, "the run was stopped by somebody (Stop)"),
        ("late", 75, "check: it took longer than it may; raise activeDeadlineSeconds"),
        ("invalid", 65, "invalid spec: template reference tiny.nothing not found"),
    ],
)
def test_the_exit_code_says_how_the_run_ended(name: str, code: int, sentence: str) -> None:
    run = read(recorded(name))
    assert exit_code(run) == code
    assert conclusion(run).startswith(sentence)


def test_a_run_that_ended_error_is_75_and_a_bug_of_a_step_is_1() -> None:
    workflow = recorded("bad-data")
    for node in workflow["status"]["nodes"].values():
        node.get("outputs", {}).pop("exitCode", None) if node["phase"] == "Succeeded" else None
        if node.get("outputs"):
            node["outputs"]["exitCode"] = "1"
    assert exit_code(read(workflow)) == 1
    workflow["status"]["phase"] = "Error"
    assert exit_code(read(workflow)) == 75


def test_a_large_status_is_unpacked_and_an_offloaded_one_is_refused() -> None:
    workflow = recorded("served")
    nodes = workflow["status"].pop("nodes")
    workflow["status"]["compressedNodes"] = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    assert len(read(workflow).tasks) == 5
    workflow["status"].pop("compressedNodes")
    workflow["status"]["offloadNodeStatusVersion"] = "fnv:1"
    with pytest.raises(InputError, match="argo watch"):
        read(workflow)


def test_only_what_changed_is_told() -> None:
    told: list[tuple[str, str]] = []
    followed = Followed(Run("r"))
    followed.listener = lambda task: told.append((task.path, task.phase))
    followed.update(read(recorded("running")))
    followed.update(read(recorded("running")))
    followed.update(read(recorded("bad-data")))
    assert told == [
        ("check", "Succeeded"),
        ("judge", "Pending"),
        ("judge", "Failed"),
        ("onExit", "Succeeded"),
        ("publish", "Omitted"),
    ]


@pytest.mark.parametrize("name", ["served", "bad-data", "rejected", "stopped", "invalid", "running"])
def test_junit_has_a_case_a_task_and_a_failure_wherever_the_command_fails(name: str) -> None:
    run = read(recorded(name))
    code = exit_code(run)
    suite = ET.fromstring(summary.junit(run, code, conclusion(run)))[0]  # noqa: S314 - our own file
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert {path for path, task in run.tasks.items() if task.kind != "DAG"} <= cases.keys()
    bad = [case for case in cases.values() if case.find("failure") is not None or case.find("error") is not None]
    assert bool(bad) == bool(code)
    assert int(suite.get("failures", 0)) + int(suite.get("errors", 0)) == len(bad)
    assert int(suite.get("tests", 0)) == len(cases)


def test_junit_says_what_failed_what_was_skipped_and_the_outputs() -> None:
    run = read(recorded("bad-data"))
    suite = ET.fromstring(summary.junit(run, 65, conclusion(run)))[0]  # noqa: S314 - our own file
    failure = suite.find("testcase[@name='judge']/failure")
    assert failure is not None
    assert (failure.get("message"), failure.get("type")) == (SENTENCE, "exit code 65")
    assert suite.find("testcase[@name='publish']/skipped") is not None
    facts = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert facts["output.verdict"] == "pass"
    assert facts["workflow"] == "bad-data"


def test_a_message_that_xml_cannot_hold_is_written_all_the_same() -> None:
    run = Run("r", phase="Failed")
    run.tasks["a"] = Node("a", "a", "Pod", phase="Failed", message="\x1b[31m<red> & \udc80\x00")
    message = ET.fromstring(summary.junit(run, 1, ""))[0].find("testcase/failure")  # noqa: S314 - our own file
    assert message is not None
    assert message.text == "\N{REPLACEMENT CHARACTER}[31m<red> & \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"


def test_the_json_summary_says_its_kind_and_each_task() -> None:
    run = read(recorded("away"))
    document = summary.summary(run, 75, conclusion(run), {"code": "75"})
    assert document["kind"] == "colchis.dev/submission/v1"
    assert document["seconds"] == 43.0
    judge = next(task for task in document["tasks"] if task["path"] == "judge")
    assert (judge["exit-code"], len(judge["attempts"]), judge["pod"]) == (75, 2, "away-judge-824544404")


TEMPLATE = {
    "kind": "WorkflowTemplate",
    "metadata": {"name": "tiny"},
    "spec": {
        "arguments": {
            "parameters": [
                {"name": "size", "enum": ["small", "big"], "value": "small"},
                {"name": "model"},
                {"name": "store", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            ]
        }
    },
}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"modle": "x"}, "tiny has no argument 'modle'; did you mean 'model'?"),
        ({"model": "x", "size": "huge"}, "argument 'size' is 'huge'; it must be one of small, big"),
        ({}, "argument 'model' has no value; give it with --set model=…"),
    ],
)
def test_a_wrong_argument_is_told_with_the_nearest(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        submit.checked_arguments(TEMPLATE, given)


def test_what_a_config_map_gives_needs_no_value() -> None:
    assert submit.checked_arguments(TEMPLATE, {"model": "x"}) == {"size": "small", "model": "x"}


def test_the_workflow_sets_what_was_given_and_says_who() -> None:
    made = submit.manifest("colchis-pipeline", {"model": "x"}, "system:serviceaccount:ml:ci")
    assert made["metadata"]["labels"] == {submit.CREATOR: "system-serviceaccount-ml-ci"}
    assert re.fullmatch(r"colchis-pipeline-[0-9a-f]{6}", made["metadata"]["name"])
    assert made["spec"] == {
        "workflowTemplateRef": {"name": "colchis-pipeline"},
        "arguments": {"parameters": [{"name": "model", "value": "x"}]},
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--timeout", "soon"], "'soon' is not a duration like 30, 30s, 5m or 1h30m"),
        (["--timeout", "0"], "'0' is not above 0"),
        (["--junit", "absent/file.xml"], "make "),
        (["--no-wait", "--timeout", "5m"], "--no-wait leaves nothing to wait for"),
        (["--on-interrupt", "kill"], "invalid choice"),
    ],
)
def test_wrong_use_ends_with_2(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        submit.main(words)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
