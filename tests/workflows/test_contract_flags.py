"""Templates and steps meet on the command line only: what one side says, the other side understands."""

import argparse
import importlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from colchis_workflows import render
from colchis_workflows._argo.literal import literal_input
from colchis_workflows.settings import Settings

Object = dict[str, Any]
DOCUMENTS = {found["metadata"]["name"]: found for found in render.objects(Settings())}
TAG = re.compile(r"\{\{(.*?)\}\}")


def _commands() -> Iterator[tuple[str, str, Object, list[str]]]:
    """Yield each step's command line: document, stem, its template and its flags."""
    for name, document in DOCUMENTS.items():
        for template in document["spec"].get("templates", []):
            containers = [template["container"]] if "container" in template else []
            for container in [*containers, *template.get("initContainers", [])]:
                if container["command"][:2] == ["python", "-m"]:
                    stem = container["command"][2].removeprefix("colchis_steps.")
                    yield f"{name}/{container.get('name', template['name'])}", stem, template, container["args"]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _read(tag: str) -> str:
    """Return what a tag reads; an input that is handed on as it is counts as that input."""
    return f"inputs.parameters.{name}" if (name := literal_input(tag)) else tag


COMMANDS = list(_commands())
IDS = [name for name, *_ in COMMANDS]
every_command = pytest.mark.parametrize(("name", "stem", "template", "args"), COMMANDS, ids=IDS)


def _parser(stem: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = importlib.import_module(f"colchis_steps.{stem}").parser()
    return parser


def _actions(stem: str) -> dict[str, argparse.Action]:
    return {flag: action for action in _parser(stem)._actions for flag in action.option_strings}


def test_every_step_has_a_command() -> None:
    steps = {"validate_data", "train", "evaluate", "upload", "build_image", "register", "rollout", "report"}
    assert {stem for _, stem, *_ in COMMANDS} == steps | {"adopt", "batch", "prepare", "prune"}


@every_command
def test_each_flag_sent_is_one_that_the_step_has_and_each_required_one_is_sent(
    name: str, stem: str, template: Object, args: list[str]
) -> None:
    sent = [arg.partition("=")[0] for arg in args]
    assert all("=" in arg for arg in args)
    assert len(set(sent)) == len(sent)
    actions = _actions(stem)
    assert set(sent) <= actions.keys()
    assert {flag for flag, action in actions.items() if action.required} <= set(sent)


@every_command
def test_each_choice_is_one_that_the_step_understands(name: str, stem: str, template: Object, args: list[str]) -> None:
    actions = _actions(stem)
    for parameter in template["inputs"]["parameters"]:
        action = actions.get(f"--{parameter['name']}")
        if action is None or "enum" not in parameter:
            continue
        for value in parameter["enum"]:
            converted = action.type(value) if callable(action.type) else value
            assert action.choices is None or converted in action.choices


@every_command
def test_each_default_is_one_that_the_step_understands(name: str, stem: str, template: Object, args: list[str]) -> None:
    actions = _actions(stem)
    for parameter in template["inputs"]["parameters"]:
        action = actions.get(f"--{parameter['name']}")
        if action is not None and "default" in parameter and callable(action.type):
            action.type(parameter["default"])  # raises where it does not


def is_early(args: list[str]) -> bool:
    """Whether it is a part before the one that writes the outputs."""
    early = {f"--part={part}" for part in ("fetch", "ask", "measure", "command")}
    return any(arg.startswith("--context=") or arg in early for arg in args)


@every_command
def test_each_output_is_written_where_it_is_read(name: str, stem: str, template: Object, args: list[str]) -> None:
    outputs = template.get("outputs", {})
    if is_early(args):  # or, before kaniko, one that has none
        assert not outputs or template["name"] != "kaniko"
        return
    sent = dict(arg.split("=", 1) for arg in args)
    for kind in ("parameters", "artifacts"):
        for output in outputs.get(kind, []):
            assert sent[f"--{output['name']}-path"] == f"{{{{outputs.{kind}.{output['name']}.path}}}}"
            path = output["path"] if kind == "artifacts" else output["valueFrom"]["path"]
            assert path.startswith("/tmp/outputs/")
    declared = {f"--{o['name']}-path" for kind in ("parameters", "artifacts") for o in outputs.get(kind, [])}
    assert {flag for flag in sent if flag.endswith("-path")} == declared


@every_command
def test_each_output_that_a_step_offers_is_declared(name: str, stem: str, template: Object, args: list[str]) -> None:
    if not is_early(args):
        offered = {flag for flag in _actions(stem) if flag.endswith("-path")}
        assert offered == {arg.partition("=")[0] for arg in args if arg.partition("=")[0].endswith("-path")}


@every_command
def test_a_step_reads_nothing_but_its_inputs(name: str, stem: str, template: Object, args: list[str]) -> None:
    given = {f"inputs.parameters.{parameter['name']}" for parameter in template["inputs"]["parameters"]}
    own = {
        f"outputs.{kind}.{output['name']}.path"
        for kind in ("parameters", "artifacts")
        for output in template.get("outputs", {}).get(kind, [])
    }
    found = {_read(tag) for text in _strings(template) for tag in TAG.findall(text)}
    assert found <= given | own
    assert {tag for tag in found if tag.startswith("inputs.")} == given, "an input that nothing reads"


def test_the_default_data_set_is_the_one_that_importing_the_digits_gives(tmp_path: Any) -> None:
    importer = importlib.import_module("colchis_steps.import_data")
    assert importer.main(["digits", "--to", tmp_path.as_uri()]) == 0
    (made,) = (tmp_path / "data/digits").iterdir()
    arguments = DOCUMENTS["colchis-pipeline"]["spec"]["arguments"]["parameters"]
    assert next(a["value"] for a in arguments if a["name"] == "data") == f"s3://colchis/data/digits/{made.name}"
