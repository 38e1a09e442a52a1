"""``colchis run``: scripts, programs of this machine, what they write to stdout, and Colchis's own templates."""

from pathlib import Path

import pytest
from tests.workflows.tiny import Write, dag, node, run, write_to

from colchis_workflows import run as local

SAY = """\
- name: say
  inputs: {parameters: [{name: text}]}
  container: {command: [echo], args: ['{{inputs.parameters.text}}']}
"""
LAST = "arguments: {parameters: [{name: text, value: 'got {{tasks.a.outputs.result}}'}]}"
USER = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: mine-}
spec:
  entrypoint: main
  templates:
    - name: main
      dag:
        tasks:
          - name: check
            templateRef: {name: colchis-validate-data, template: validate-data}
            arguments: {parameters: [{name: run, value: r}, {name: data, value: DATA}]}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return write_to(tmp_path)


def script(name: str, command: str, source: str) -> str:
    return f"- name: {name}\n  script:\n    image: any\n    command: [{command}]\n    source: |\n" + "".join(
        f"      {line}\n" for line in source.splitlines()
    )


@pytest.mark.servers
@pytest.mark.parametrize(
    ("command", "source"),
    [
        ("sh", "echo '{{workflow.parameters.size}}' 1\necho noise >&2"),
        ("python", "import sys\nprint('small', len(sys.argv))"),
    ],
)
def test_what_a_script_writes_to_stdout_is_its_result(write: Write, tmp_path: Path, command: str, source: str) -> None:
    tasks = dag("name: a, template: a", f"name: b, template: say, depends: a, {LAST}")
    assert run(write(tasks + script("a", command, source) + SAY), tmp_path) == 0
    assert node(tmp_path, "b")["result"] == "got small 1"
    log = (tmp_path / "runs" / "r" / "a" / "log").read_text()
    assert "small 1" in log
    assert ("noise" in log) == (command == "sh")


@pytest.mark.servers
def test_a_script_that_fails_says_its_last_line_and_its_code(write: Write, tmp_path: Path) -> None:
    assert run(write(script("main", "sh", "echo out; echo 'no such thing' >&2; exit 7")), tmp_path) == 7
    assert node(tmp_path, "")["message"] == "exit code 7: no such thing"


@pytest.mark.servers
def test_a_script_is_kept_while_its_source_is_the_same(write: Write, tmp_path: Path) -> None:
    for source, reused in (("echo 1", False), ("echo 1", True), ("echo 2", False)):
        assert run(write(dag("name: a, template: a") + script("a", "sh", source)), tmp_path) == 0
        assert node(tmp_path, "a")["reused"] is reused


@pytest.mark.servers
def test_a_result_of_a_task_that_is_kept_is_there_for_the_next(write: Write, tmp_path: Path) -> None:
    tasks = dag("name: a, template: a", f"name: b, template: say, depends: a, {LAST}")
    path = write(tasks + script("a", "sh", "echo {{workflow.parameters.mark}}1") + SAY)
    assert [run(path, tmp_path), run(path, tmp_path)] == [0, 0]
    assert node(tmp_path, "a")["reused"]
    assert node(tmp_path, "b")["result"] == "got 1"


@pytest.mark.servers
def test_a_condition_may_be_anything_that_argo_evaluates(write: Write, tmp_path: Path) -> None:
    conditions = [
        "'{{tasks.a.outputs.result}}' =~ '^1' && 2 > 1",
        "{{tasks.a.outputs.result}} > 20",
        "{{tasks.a.outputs.result}} in (1, 12)",
    ]
    later = [f'name: t{n}, template: a, depends: a, when: "{condition}"' for n, condition in enumerate(conditions)]
    assert run(write(dag("name: a, template: a", *later) + script("a", "sh", "echo 12")), tmp_path) == 0
    assert [node(tmp_path, f"t{n}")["phase"] for n in range(3)] == ["Succeeded", "Skipped", "Succeeded"]


@pytest.mark.servers
def test_a_users_workflow_refers_to_our_templates_without_naming_their_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(USER.replace("DATA", f"file://{tmp_path}/no-data"))
    assert local.main(["--file", str(file), "--home", str(tmp_path), "--run", "r"]) == 65
    assert node(tmp_path, "check")["exit_code"] == 65
    assert "check  Failed exit code 65: " in capsys.readouterr().err


@pytest.mark.servers
def test_a_users_template_stands_for_ours_of_the_same_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    own = "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {name: colchis-validate-data}\n"
    own += "spec:\n  templates:\n    - {name: validate-data, container: {command: ['true']}}\n"
    file.write_text(f"{USER}---\n{own}")
    assert local.main(["--file", str(file), "--home", str(tmp_path), "--run", "r"]) == 0


def test_one_of_ours_is_run_by_name_beside_the_users_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(USER)
    words = ["colchis-validate-data", "--file", str(file), "--home", str(tmp_path), "--set", "nothing=1"]
    assert local.main(words) == 2
    assert "colchis-validate-data has no argument 'nothing'" in capsys.readouterr().err
