"""``colchis run``: what it refuses, resumes, stops and says."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from colchis_workflows import local
from colchis_workflows._display import in_tree_order
from colchis_workflows._record import Node

HEAD = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: tiny}
spec:
  entrypoint: main
  arguments:
    parameters:
      - {name: model, value: digits}
      - {name: size, value: small, enum: [small, big]}
      - {name: mark, value: ""}
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(templates: str, spec: str = "") -> Path:
        path = tmp_path / "tiny.yaml"
        path.write_text(
            HEAD + indent(f"{spec}\n" if spec else "", "  ") + "  templates:\n" + indent(dedent(templates), "    ")
        )
        return path

    return make


def python(name: str, program: str, extra: str = "") -> str:
    """Give a container template that runs a program."""
    text = f"- name: {name}\n  container:\n    command: [python, -c]\n    args: [{json.dumps(program)}]\n"
    return text + indent(dedent(extra), "  ")


def dag(*tasks: str) -> str:
    return "- name: main\n  dag:\n    tasks:\n" + "".join(f"      - {{{task}}}\n" for task in tasks)


def run(path: Path, home: Path, *more: str) -> int:
    return local.main(["tiny", "--file", str(path), "--home", str(home), "--run", "r", *more])


def record(home: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((home / "runs" / "r" / "run.json").read_text())
    return document


def node(home: Path, path: str) -> dict[str, Any]:
    found: dict[str, Any] = next(n for n in record(home)["nodes"] if n["path"] == path)
    return found


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "modle=x"], "tiny has no argument 'modle'; did you mean 'model'?"),
        (["--set", "size=huge"], "argument 'size' is 'huge'; it must be one of small, big"),
        (["--set", "size"], "--set 'size' has no '='; write --set NAME=VALUE"),
        (["--run", "../up"], "run id '../up' is not made of"),
    ],
)
def test_a_wrong_argument_is_a_usage_error_before_anything_runs(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    path = write(dag("name: a, template: a") + python("a", "pass"))
    assert run(path, tmp_path / "home", *words) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_an_unknown_template_is_named_with_the_nearest(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert local.main(["tinny", "--file", str(write(python("main", "pass"))), "--home", str(tmp_path)]) == 2
    assert "no template is named 'tinny'; did you mean 'tiny'?" in capsys.readouterr().err


REFUSED = {
    "withParam": (dag("name: a, template: a, withParam: '[1]'") + python("a", "pass"), "uses withParam"),
    "script": ("- name: main\n  script: {image: x, source: y}\n", "template main uses script"),
    "steps": ("- name: main\n  steps: []\n", "template main uses steps"),
    "expression": (python("main", "{{=1 + 1}}"), "uses {{= }}"),
    "sidecars": (python("main", "pass", "sidecars: []"), "template main uses sidecars"),
    "when": (dag("name: a, template: a, when: '1 > 2'") + python("a", "pass"), "is not one comparison with == or !="),
    "circle": (
        dag("name: a, template: a, depends: b", "name: b, template: a, depends: a") + python("a", "pass"),
        "itself",
    ),
    "recursion": (dag("name: a, template: main"), "comes back to itself"),
    "unknown template": (dag("name: a, template: b"), "uses template 'b', which is not there"),
    "unknown dependency": (dag("name: a, template: a, depends: b") + python("a", "pass"), "depends on 'b'"),
    "command": ("- name: main\n  container: {command: [/kaniko/executor]}\n", "use --set builder=direct"),
    "image's command": ("- name: main\n  container: {image: x}\n", "runs its image's own command"),
    "retry": (
        python("main", "pass", "retryStrategy: {limit: 1, expression: \"lastRetry.message matches 'x'\"}"),
        "has a retryStrategy that a local run does not have",
    ),
    "literal path": (
        python("main", "open('/tmp/x')", "outputs: {parameters: [{name: x, valueFrom: {path: /tmp/x}}]}"),
        "by its literal path; write {{outputs.parameters.NAME.path}}",
    ),
    "no wait": (
        dag("name: a, template: a", "name: b, template: a, when: '{{tasks.a.outputs.parameters.x}} == 1'")
        + python("a", "pass"),
        "does not wait for that task; add it to depends",
    ),
    "suspend without terminal": ("- {name: main, suspend: {}}\n", "asks on the terminal and this is none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_local_run_does_not_have_is_refused_by_name_before_anything_runs(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    templates, sentence = REFUSED[name]
    assert run(write(templates), tmp_path / "home") == 65
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_a_template_that_the_arguments_keep_from_running_may_hold_anything(write: Write, tmp_path: Path) -> None:
    tasks = dag("name: a, template: a", "name: k, template: k, when: '{{workflow.parameters.size}} == big'")
    path = write(tasks + python("a", "pass") + "- name: k\n  container: {command: [/kaniko/executor]}\n")
    assert run(path, tmp_path) == 0
    assert node(tmp_path, "k")["phase"] == "Skipped"
    assert run(path, tmp_path, "--set", "size=big") == 65


FAILS = (
    "import os, sys; open(os.environ['COLCHIS_TERMINATION_LOG'], 'w').write('column x is absent; add it'); sys.exit(65)"
)


def test_the_failed_steps_sentence_is_the_nodes_message_and_its_code_the_commands(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write(dag("name: a, template: a") + python("a", FAILS)), tmp_path) == 65
    assert node(tmp_path, "a")["message"] == "exit code 65: column x is absent; add it"
    said = capsys.readouterr().err
    assert "a  Failed exit code 65: column x is absent; add it" in said
    assert "resume: colchis run --run r" in said


def test_a_traceback_gives_code_1_and_its_last_line(write: Write, tmp_path: Path) -> None:
    assert run(write(dag("name: a, template: a") + python("a", "1 / 0")), tmp_path) == 1
    assert node(tmp_path, "a")["message"] == "exit code 1: ZeroDivisionError: division by zero"


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 3)])
def test_the_gates_no_is_exit_code_3(write: Write, tmp_path: Path, verdict: str, code: int) -> None:
    outputs = "outputs: {parameters: [{name: verdict, globalName: verdict, valueFrom: {path: /tmp/outputs/verdict}}]}"
    program = f"open('{{{{outputs.parameters.verdict.path}}}}', 'w').write('{verdict}')"
    assert run(write(python("main", program, outputs)), tmp_path) == code


def test_an_output_that_is_not_written_is_an_error(write: Write, tmp_path: Path) -> None:
    outputs = "outputs: {parameters: [{name: x, valueFrom: {path: /tmp/outputs/x}}]}"
    assert run(write(python("main", "pass", outputs)), tmp_path) == 65
    assert "output 'x' was not written" in node(tmp_path, "")["message"]


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


def test_braces_in_a_value_are_no_tags(write: Write, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = f"import sys; open({str(seen)!r}, 'a').write(sys.argv[1])"
    extra = "inputs: {parameters: [{name: mark}]}"
    echo = f"- name: main\n  {extra}\n  container:\n    command: [python, -c, {json.dumps(program)}]\n"
    assert (
        run(write(echo + '    args: ["{{inputs.parameters.mark}}"]\n'), tmp_path, "--set", "mark={{workflow.uid}}") == 0
    )
    assert seen.read_text() == "{{workflow.uid}}"


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


def test_a_deadline_ends_the_task(write: Write, tmp_path: Path) -> None:
    path = write(python("main", "import time; time.sleep(60)", "activeDeadlineSeconds: 1"))
    began = time.monotonic()
    assert run(path, tmp_path) == 143
    assert time.monotonic() - began < 10
    assert "it took longer than 1 s" in node(tmp_path, "")["message"]


def test_progress_is_noted_and_shown(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = (
        "import os, pathlib, time; pathlib.Path(os.environ['ARGO_PROGRESS_FILE']).write_text('4/12'); time.sleep(1.5)"
    )
    steps = (
        "import os, pathlib, time\n"
        "for n in range(4): pathlib.Path(os.environ['ARGO_PROGRESS_FILE']).write_text(f'{n}/12'); time.sleep(0.6)"
    )
    path = write(dag("name: a, template: a", "name: b, template: b") + python("a", program) + python("b", steps))
    assert run(path, tmp_path) == 0
    assert node(tmp_path, "a")["progress"] == "4/12"
    assert "b  Running 2/12" in capsys.readouterr().err


def start(path: Path, home: Path, run_id: str = "r") -> "subprocess.Popen[str]":
    words = ["-m", "colchis_workflows.cli", "run", "tiny", "-f", str(path), "--home", str(home), "--run", run_id]
    return subprocess.Popen([sys.executable, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


WAITS = "import os, pathlib, time; pathlib.Path({!r}).write_text(str(os.getpid()))\nwhile True: time.sleep(1)"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_stops_the_tasks_and_runs_the_exit_handler(
    write: Write, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    pid = tmp_path / "pid"
    bye = f"open({str(tmp_path / 'bye')!r}, 'w').write('{{{{workflow.status}}}}')"
    tasks = dag("name: a, template: a", "name: b, template: bye, depends: a")
    path = write(tasks + python("a", WAITS.format(str(pid))) + python("bye", bye), "onExit: bye")
    with start(path, tmp_path) as process:
        until(lambda: pid.exists() and pid.read_text() != "")
        process.send_signal(number)
        assert process.wait(20) == code
    assert not alive(int(pid.read_text()))
    assert (tmp_path / "bye").read_text() == "Failed"
    assert node(tmp_path, "a")["phase"] == "Failed"
    assert node(tmp_path, "b")["phase"] == "Pending"


def test_kill_9_ends_the_steps_and_the_same_run_goes_on(write: Write, tmp_path: Path) -> None:
    pid, go = tmp_path / "pid", tmp_path / "go"
    step = (
        "import os, pathlib, sys, time\nfrom colchis_steps._step import entrypoint\n"
        f"@entrypoint\ndef main(argv):\n    pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n"
        f"    while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)\n"
        "sys.exit(main())"
    )
    path = write(
        dag("name: first, template: first", "name: a, template: a, depends: first")
        + python("first", "pass")
        + python("a", step)
    )
    with start(path, tmp_path) as process:
        until(lambda: pid.exists() and pid.read_text() != "")
        process.kill()
    until(lambda: not alive(int(pid.read_text())))
    go.touch()
    assert run(path, tmp_path) == 0
    assert node(tmp_path, "first")["reused"]


def test_a_mutex_lets_one_run_in_at_a_time_and_one_run_is_started_once(write: Write, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    lock = "synchronization: {mutexes: [{name: 'turn-{{workflow.parameters.model}}'}]}"
    path = write(dag("name: a, template: a") + python("a", WAITS.format(str(pid)), lock))
    with start(path, tmp_path, "one") as one:
        until(lambda: pid.exists() and pid.read_text() != "")
        with start(path, tmp_path, "one") as again:
            assert "run 'one' is running already" in again.communicate(timeout=20)[1]
            assert again.returncode == 65
        with start(path, tmp_path, "two") as two:
            waiting = tmp_path / "runs" / "two" / "run.json"
            until(lambda: waiting.exists() and "waits for mutex turn-digits" in waiting.read_text())
            first = pid.read_text()
            one.terminate()
            assert one.wait(20) == 75
            until(lambda: pid.read_text() not in {first, ""})
            two.terminate()
            assert two.wait(20) == 75


def test_the_tree_has_each_task_below_its_dag() -> None:
    paths = ["", "a", "b", "a.x", "c", "a.y", "a.x.z", "onExit"]
    nodes = [Node(path, "t", "Pod") for path in paths]
    assert [node.path for node in in_tree_order(nodes)] == ["a", "a.x", "a.x.z", "a.y", "b", "c", "onExit"]
