"""A small template for tests of the local run: parts of YAML, and what a run of it left."""

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from colchis_workflows import run as local

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


def write_to(directory: Path) -> Write:
    """Return a function that writes the template from its parts."""

    def make(templates: str, spec: str = "") -> Path:
        path = directory / "tiny.yaml"
        above = f"  {spec}\n" if spec else ""
        path.write_text(f"{HEAD}{above}  templates:\n{indent(dedent(templates), '    ')}")
        return path

    return make


def python(name: str, program: str, extra: str = "") -> str:
    """Return a container template that runs a program."""
    text = f"- name: {name}\n  container:\n    command: [python, -c]\n    args: [{json.dumps(program)}]\n"
    return text + indent(dedent(extra), "  ")


def dag(*tasks: str) -> str:
    """Return the entry point: a DAG of these tasks."""
    return "- name: main\n  dag:\n    tasks:\n" + "".join(f"      - {{{task}}}\n" for task in tasks)


def run(path: Path, home: Path, *more: str) -> int:
    """Run the template as run ``r``."""
    return local.main(["tiny", "--file", str(path), "--home", str(home), "--run", "r", *more])


def node(home: Path, path: str) -> dict[str, Any]:
    """Return what run ``r`` noted of a task."""
    document = json.loads((home / "runs" / "r" / "run.json").read_text())
    found: dict[str, Any] = next(n for n in document["nodes"] if n["path"] == path)
    return found
