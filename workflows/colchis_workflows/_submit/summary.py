"""What CI reads of a run: a JUnit file with a test case a task, and a JSON summary."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from colchis_workflows._argo.files import write_atomically
from colchis_workflows._runs.node import BAD
from colchis_workflows._submit.workflow import REJECTED, Run

KIND = "colchis.dev/submission/v1"
CONTROL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 can't hold


def summary(run: Run, code: int, message: str, arguments: dict[str, str]) -> dict[str, Any]:
    """Return the run as JSON; ``seconds`` is None where it has not ended."""
    tasks = []
    for task in run.tasks.values():
        if task.kind == "DAG":
            continue
        tasks.append(
            {
                "path": task.path,
                "template": task.template,
                "phase": task.phase,
                "message": task.message,
                "exit-code": task.exit_code,
                "seconds": round(task.seconds, 3),
                "pod": run.pods.get(task.path),
                "outputs": task.outputs,
                "attempts": [dataclasses.asdict(attempt) for attempt in task.attempts],
            }
        )
    return {
        "kind": KIND,
        "workflow": run.name,
        "namespace": run.namespace,
        "run": run.uid,
        "template": run.template,
        "arguments": arguments,
        "phase": run.phase,
        "exit-code": code,
        "message": message,
        "seconds": run.finished - run.started if run.finished and run.started else None,
        "outputs": run.outputs,
        "tasks": tasks,
    }


def junit(run: Run, code: int, message: str) -> str:
    """Return the run as JUnit XML; what no task says, such as the gate's no, is a failed test case named ``run``."""
    suite = ET.Element("testsuite", name=_text(run.template or "colchis submit"))
    properties = ET.SubElement(suite, "properties")
    facts = {"workflow": run.name, "namespace": run.namespace, "run": run.uid, "phase": run.phase}
    for name, value in [*facts.items(), *((f"output.{k}", v) for k, v in sorted(run.outputs.items()))]:
        ET.SubElement(properties, "property", name=_text(name), value=_text(value))
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}

    def case(name: str, seconds: float, bad: str, why: str, kind: str) -> None:
        found = ET.SubElement(
            suite, "testcase", name=_text(name), classname=str(suite.get("name")), time=f"{seconds:.3f}"
        )
        counts["tests"] += 1
        if bad:
            ET.SubElement(found, bad, {"message": _text(why), "type": kind}).text = _text(why)
            counts[{"failure": "failures", "error": "errors"}.get(bad, bad)] += 1

    for task in run.tasks.values():
        if task.kind == "DAG":
            continue
        how = {"Failed": "failure", "Error": "error", "Succeeded": ""}.get(task.phase, "skipped")
        why = task.message if task.phase in BAD else task.message or task.phase
        kind = f"exit code {task.exit_code}" if task.exit_code else task.phase
        case(task.path, task.seconds, how, why, kind)
    if code and not counts["failures"] + counts["errors"]:
        case("run", 0.0, "failure" if code == REJECTED else "error", message, f"exit code {code}")
    for name, count in counts.items():
        suite.set(name, str(count))
    suite.set("time", f"{(run.finished or 0) - (run.started or 0) if run.finished else 0:.3f}")
    whole = ET.Element("testsuites", {name: str(suite.get(name)) for name in ("tests", "failures", "errors", "time")})
    whole.append(suite)
    ET.indent(whole)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(whole, encoding="unicode") + "\n"


def _text(value: str) -> str:
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", value)


def write(files: dict[str, Path | None], run: Run, code: int, message: str, arguments: dict[str, str]) -> None:
    """Write the files that are asked for, each whole or not at all."""
    if path := files["junit"]:
        write_atomically(path, junit(run, code, message))
    if path := files["json"]:
        text = json.dumps(summary(run, code, message, arguments), indent=1, ensure_ascii=False)
        write_atomically(path, text + "\n")
