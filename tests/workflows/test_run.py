"""``colchis run``: what its tasks give, keep and say."""

import json
from pathlib import Path

import pytest
from tests.workflows.tiny import Write, dag, node, python, run, write_to

from colchis_workflows import run as local
from colchis_workflows._runs.display import in_tree_order
from colchis_workflows._runs.node import Node


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return write_to(tmp_path)


FAILS = (
    "import os, sys; open(os.environ['COLCHIS_TERMINATION_LOG'], 'w').write('column x is absent; add it'); sys.exit(65)"
)


@pytest.mark.servers
def test_the_failed_steps_sentence_is_the_nodes_message_and_its_code_the_commands(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write(dag("name: a, template: a") + python("a", FAILS)), tmp_path) == 65
    assert node(tmp_path, "a")["message"] == "exit code 65: column x is absent; add it"
    said = capsys.readouterr().err
    assert "a  Failed exit code 65: column x is absent; add it" in said
    assert "resume: colchis run --run r" in said


@pytest.mark.servers
def test_a_process_is_told_that_it_stands_in_for_a_pod(write: Write, tmp_path: Path) -> None:
    told = "import os, sys; sys.exit(0 if os.environ['COLCHIS_HERE'] else 1)"
    assert run(write(dag("name: a, template: a") + python("a", told)), tmp_path) == 0


@pytest.mark.servers
def test_a_traceback_gives_code_1_and_its_last_line(write: Write, tmp_path: Path) -> None:
    assert run(write(dag("name: a, template: a") + python("a", "1 / 0")), tmp_path) == 1
    assert node(tmp_path, "a")["message"] == "exit code 1: ZeroDivisionError: division by zero"


@pytest.mark.servers
@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 3), ("undecided", 0)])
def test_the_gates_no_is_exit_code_3(write: Write, tmp_path: Path, verdict: str, code: int) -> None:
    outputs = "outputs: {parameters: [{name: verdict, globalName: verdict, valueFrom: {path: /tmp/outputs/verdict}}]}"
    program = f"open('{{{{outputs.parameters.verdict.path}}}}', 'w').write('{verdict}')"
    assert run(write(python("main", program, outputs)), tmp_path) == code


@pytest.mark.servers
def test_an_output_that_is_not_written_is_an_error(write: Write, tmp_path: Path) -> None:
    outputs = "outputs: {parameters: [{name: x, valueFrom: {path: /tmp/outputs/x}}]}"
    assert run(write(python("main", "pass", outputs)), tmp_path) == 65
    assert "output 'x' was not written" in node(tmp_path, "")["message"]


@pytest.mark.servers
def test_a_second_start_keeps_what_succeeded_with_the_same_inputs(write: Write, tmp_path: Path) -> None:
    count = f"open({str(tmp_path / 'count')!r}, 'a').write('{{{{workflow.parameters.mark}}}}.')"
    fail = f"import pathlib, sys; sys.exit(0 if pathlib.Path({str(tmp_path / 'mended')!r}).exists() else 65)"
    path = write(
        dag("name: a, template: a", "name: b, template: b, depends: a") + python("a", count) + python("b", fail)
    )
    assert run(path, tmp_path) == 65
    (tmp_path / "mended").touch()
    assert local.main(["--home", str(tmp_path), "--run", "r"]) == 0
    assert (tmp_path / "count").read_text() == "."
    assert node(tmp_path, "a")["reused"]
    assert node(tmp_path, "b")["phase"] == "Succeeded"
    assert run(path, tmp_path, "--set", "mark=x") == 0
    assert (tmp_path / "count").read_text() == ".x."


@pytest.mark.servers
def test_braces_in_a_value_are_no_tags(write: Write, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = f"import sys; open({str(seen)!r}, 'a').write(sys.argv[1])"
    extra = "inputs: {parameters: [{name: mark}]}"
    echo = f"- name: main\n  {extra}\n  container:\n    command: [python, -c, {json.dumps(program)}]\n"
    assert (
        run(write(echo + '    args: ["{{inputs.parameters.mark}}"]\n'), tmp_path, "--set", "mark={{workflow.uid}}") == 0
    )
    assert seen.read_text() == "{{workflow.uid}}"


@pytest.mark.servers
def test_kept_tasks_hand_their_outputs_on(write: Write, tmp_path: Path) -> None:
    outputs = "outputs: {parameters: [{name: x, valueFrom: {path: /tmp/outputs/x}}]}"
    program = "open('{{outputs.parameters.x.path}}', 'w').write('1')"
    tasks = ["name: t0, template: a"]
    for n in range(1, 6):
        when = f"when: '{{{{tasks.t{n - 1}.outputs.parameters.x}}}} == 1'"
        tasks.append(f"name: t{n}, template: a, depends: t{n - 1}, {when}")
    path = write(dag(*tasks) + python("a", program, outputs))
    assert [run(path, tmp_path) for _ in range(4)] == [0] * 4
    assert node(tmp_path, "t5")["reused"]


@pytest.mark.servers
def test_independent_tasks_run_side_by_side(write: Write, tmp_path: Path) -> None:
    meet = (
        "import pathlib, sys, time; here = pathlib.Path(sys.argv[1]); (here / sys.argv[2]).touch()\n"
        "end = time.monotonic() + 20\n"
        "while not (here / sys.argv[3]).exists():\n    assert time.monotonic() < end; time.sleep(0.01)"
    )
    templates = ""
    for own, other in (("a", "b"), ("b", "a")):
        args = json.dumps([meet, str(tmp_path), f"{own}.here", f"{other}.here"])
        templates += f"- name: {own}\n  container: {{command: [python, -c], args: {args}}}\n"
    assert run(write(dag("name: a, template: a", "name: b, template: b") + templates), tmp_path) == 0


def test_the_tree_has_each_task_below_its_dag() -> None:
    paths = ["", "a", "b", "a.x", "c", "a.y", "a.x.z", "onExit"]
    nodes = [Node(path, "t", "Pod" if path else "DAG") for path in paths]
    assert [node.path for node in in_tree_order(nodes)] == ["a", "a.x", "a.x.z", "a.y", "b", "c", "onExit"]


@pytest.mark.servers
def test_a_run_of_one_process_is_shown_by_its_templates_name(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write(python("main", "1 / 0")), tmp_path) == 1
    assert "main  Failed exit code 1: ZeroDivisionError: division by zero" in capsys.readouterr().err


@pytest.mark.servers
def test_data_that_is_not_there_yet_is_fetched_by_the_line_that_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert local.main(["--home", str(tmp_path)]) == 65
    said = capsys.readouterr().err
    assert "validate-data  Failed exit code 65: " in said
    assert f"data:   colchis data import digits --to file://{tmp_path}/store" in said
