"""``colchis run``: what it refuses, by name and before anything runs."""

from pathlib import Path

import pytest
from tests.workflows.tiny import Write, dag, node, python, run, write_to

from colchis_workflows import run as local
from colchis_workflows._argo.literal import literal


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return write_to(tmp_path)


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
    "script's program": (
        "- name: main\n  script: {image: x, command: [no-such-shell], source: x}\n",
        "template main runs 'no-such-shell', which is not on this machine; install it, or run it on Argo",
    ),
    "script's arguments": (
        "- name: main\n  script: {image: x, command: [sh], args: [x], source: x}\n",
        "template main uses script.args, which a local run does not have",
    ),
    "shape": ("- name: main\n  container: {command: sh}\n", "command: this has to be a list and is 'sh'"),
    "steps": ("- name: main\n  steps: []\n", "template main uses steps"),
    "expression": (python("main", "{{=1 + 1}}"), "uses {{= }}"),
    "a literal with more": (python("main", literal("a") + "{{=1 + 1}}"), "uses {{= }}"),
    "a literal elsewhere": (
        dag(f'name: a, template: a, arguments: {{parameters: [{{name: b, value: "{literal("size")}"}}]}}')
        + python("a", "pass"),
        "uses {{= }}",
    ),
    "sidecars": (python("main", "pass", "sidecars: []"), "template main uses sidecars"),
    "when": (dag("name: a, template: a, when: 'a > 2'") + python("a", "pass"), "has a when that is not a condition"),
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


@pytest.mark.servers
def test_a_template_that_the_arguments_keep_from_running_may_hold_anything(write: Write, tmp_path: Path) -> None:
    tasks = dag("name: a, template: a", "name: k, template: k, when: '{{workflow.parameters.size}} == big'")
    path = write(tasks + python("a", "pass") + "- name: k\n  container: {command: [/kaniko/executor]}\n")
    assert run(path, tmp_path) == 0
    assert node(tmp_path, "k")["phase"] == "Skipped"
    assert run(path, tmp_path, "--set", "size=big") == 65
