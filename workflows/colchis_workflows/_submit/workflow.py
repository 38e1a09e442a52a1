"""A Workflow object as the API server gives it, read as a run: its tasks, how it ended, what a caller makes of it."""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from colchis_workflows._argo.errors import InputError, TransientError
from colchis_workflows._runs.display import parts
from colchis_workflows._runs.node import BAD, Attempt, Node

REJECTED, LATE = 3, TransientError.exit_code


ENDED = {"Succeeded", "Failed", "Error"}
STARTING = {"ContainerCreating", "PodInitializing"}
PHASES = {"Pending", "Running", "Succeeded", "Skipped", "Failed", "Error", "Omitted"}
ENDED_WITH = re.compile(r"(?:[a-z-]+: )?Error \(exit code (\d+)\)(?:: (.*))?")  # of main, or of an init container
REASONS = {  # what Argo says where it has no sentence of a step's
    "pod deleted": "its pod was deleted",
    "Step exceeded its deadline": "it took longer than it may; raise activeDeadlineSeconds, or give it less to do",
}


Json = Mapping[str, Any]


@dataclass
class Run:
    """A run on a cluster; ``tasks`` by path, each after the DAG that it is in."""

    name: str
    namespace: str = ""
    uid: str = ""
    template: str = ""
    phase: str = "Pending"
    message: str = ""
    shutdown: str = ""  # how it was asked to end, Stop or Terminate
    started: float | None = None
    finished: float | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, Node] = field(default_factory=dict)
    pods: dict[str, str] = field(default_factory=dict)  # a task's last pod, by path

    @property
    def ended(self) -> bool:
        """Return whether nothing more will happen."""
        return self.phase in ENDED

    @property
    def failed(self) -> list[Node]:
        """Return the tasks that failed by themselves, the first one first; a DAG fails because of them."""
        found = [task for task in self.tasks.values() if task.phase in BAD and task.kind != "DAG"]
        return sorted(found, key=lambda task: (task.finished or 0.0, task.path))


def read(workflow: Json) -> Run:
    """Read a Workflow.

    Raises:
        InputError: its tasks are kept in a database, which only Argo's server reads.
    """
    metadata, spec, status = workflow["metadata"], workflow.get("spec", {}), workflow.get("status", {})
    run = Run(metadata["name"], metadata.get("namespace", ""), metadata.get("uid", ""))
    run.template = spec.get("workflowTemplateRef", {}).get("name", "")
    run.phase, run.message = status.get("phase") or "Pending", status.get("message", "")
    run.shutdown = spec.get("shutdown", "")
    run.started, run.finished = _seconds(status.get("startedAt")), _seconds(status.get("finishedAt"))
    run.outputs = _parameters(status)
    nodes = {node["name"]: node for node in _nodes(status).values()}
    retried = {name for name, node in nodes.items() if node["type"] == "Retry"}
    attempts: dict[str, list[Json]] = {}
    for name, node in nodes.items():
        if (match := re.fullmatch(r"(.+)\(\d+\)", name)) and match[1] in retried:
            attempts.setdefault(match[1], []).append(node)
    for name in sorted(nodes, key=lambda name: _place(name, nodes)):
        node, path = nodes[name], name.removeprefix(run.name).removeprefix(".")
        if not path or node["type"] in {"StepGroup", "TaskGroup"} or name.rpartition("(")[0] in retried:
            continue
        tries = sorted(attempts.get(name, []), key=lambda attempt: str(attempt.get("startedAt")))
        run.tasks[path] = _task(path, node, tries)
        if run.tasks[path].kind == "Suspend" and run.tasks[path].phase == "Running":
            run.tasks[path].message = _question(node, run)
        if (pod := tries[-1] if tries else node)["type"] == "Pod":
            run.pods[path] = _pod(run.name, pod)
    return run


def _question(node: Json, run: Run) -> str:
    """Say how a task that waits goes on: with an answer, where it asks for one."""
    where = f"{run.name} --namespace {run.namespace}"
    asked = [p["name"] for p in (node.get("outputs") or {}).get("parameters") or [] if "supplied" in p["valueFrom"]]
    given = {p["name"]: p.get("value", "") for p in (node.get("inputs") or {}).get("parameters") or []}
    if not asked:
        return f"it waits; to go on: argo resume {where}"
    read = f", after reading {given['report']}" if given.get("report") else ""
    field = f"--node-field-selector displayName={node['displayName']}"
    answer = f"argo node set {where} --output-parameter {asked[0]}=YES {field}"
    return f"it waits for {asked[0]}=YES or NO{read}: {answer}; then argo resume {where}"


def _nodes(status: Json) -> dict[str, Json]:
    if packed := status.get("compressedNodes"):  # a status above 1 MiB
        unpacked: dict[str, Json] = json.loads(gzip.decompress(base64.b64decode(packed)))
        return unpacked
    if status.get("offloadNodeStatusVersion"):
        raise InputError("this run's tasks are in Argo's database; follow it with `argo watch` through Argo's server")
    return dict(status.get("nodes") or {})


def _place(name: str, nodes: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Return a sorting key: each task after the one that it is in, those beside it by their start."""
    words = name.split(".")
    above = [".".join(words[: count + 1]) for count in range(len(words))]
    return [(str(nodes.get(path, {}).get("startedAt", "")), path) for path in above]


def _task(path: str, node: Json, tries: list[Json]) -> Node:
    last = tries[-1] if tries else node
    kind = "Pod" if node["type"] in {"Pod", "Retry"} else str(node["type"])
    code = _code(node) or _code(last)
    phase = node.get("phase") if node.get("phase") in PHASES else "Pending"
    if phase == "Running" and last.get("phase") == "Pending":
        phase = "Pending"
    finished, progress = _seconds(node.get("finishedAt")), parts(str(last.get("progress", "")))
    return Node(
        path=path,
        template=node.get("templateName") or (node.get("templateRef") or {}).get("template") or "",
        kind=kind,
        phase=str(phase),
        message=_sentence(str(phase), kind, str(last.get("message") or "")),
        progress=str(last["progress"]) if kind == "Pod" and progress and progress[1] > 1 else "",
        started=_seconds(node.get("startedAt")),
        finished=finished,
        exit_code=int(code) if code else None,
        outputs=_parameters(node),
        attempts=[_attempt(one) for one in tries],
    )


def _attempt(node: Json) -> Attempt:
    code = _code(node)
    phase, began, ended = str(node.get("phase")), _seconds(node.get("startedAt")), _seconds(node.get("finishedAt"))
    message = _sentence(phase, "Pod", str(node.get("message") or ""))
    return Attempt(phase, message, int(code) if code else None, (ended or 0.0) - (began or 0.0) if ended else 0)


def _code(node: Json) -> str:
    """Return a pod's exit code, "" where there is none; that of an init container stands in the message alone."""
    code = str((node.get("outputs") or {}).get("exitCode", ""))
    if code.isdecimal():
        return code
    said = ENDED_WITH.fullmatch(" ".join(str(node.get("message") or "").split()))
    return said[1] if said else ""


def _sentence(phase: str, kind: str, message: str) -> str:
    """Turn Argo's message into what a person needs: the step's own sentence where it left one."""
    text = " ".join(message.split())
    if phase in BAD:
        if kind == "DAG":
            return ""
        if match := ENDED_WITH.fullmatch(text):
            return match[2] or f"it ended with exit code {match[1]} and left no sentence; its log says why"
        return REASONS.get(text, text) or "it failed without a reason; its log may say why"
    return "" if text in STARTING else text.removeprefix("omitted: ")


def _pod(run: str, node: Json) -> str:
    """Return the pod's name as Argo makes it: run, template, and the number at the end of the node's id."""
    template = node.get("templateName") or (node.get("templateRef") or {}).get("template", "")
    if node["name"] == run:
        return run
    number = str(node["id"]).rpartition("-")[2]
    return f"{f'{run}-{template}'[: 253 - 11].rstrip('-')}-{number}"


def _parameters(thing: Json) -> dict[str, str]:
    found = (thing.get("outputs") or {}).get("parameters") or []
    return {str(p["name"]): str(p["value"]) for p in found if p.get("value") is not None}


def _seconds(time: str | None) -> float | None:
    return datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() if time else None


def exit_code(run: Run) -> int:
    """Return the command's exit code: 0 served, 3 gate or canary said no, 75 stopped, late or Error, or the step's."""
    if run.phase == "Succeeded":
        return REJECTED if run.outputs.get("verdict") == "fail" else 0
    if run.phase != "Failed" or run.shutdown:
        return LATE
    if run.message.startswith("invalid spec"):
        return InputError.exit_code
    return (run.failed[0].exit_code if run.failed else None) or LATE


def conclusion(run: Run) -> str:
    """Return in one sentence how the run ended."""
    if run.phase == "Succeeded":
        no = run.outputs.get("summary") or "the gate or the canary said no; the report says why"
        return no if run.outputs.get("verdict") in {"fail", "undecided"} else "the run succeeded"
    if run.shutdown:
        return f"the run was stopped by somebody ({run.shutdown})"
    if run.failed and not run.message:
        return f"{run.failed[0].path}: {run.failed[0].message}"
    return run.message or f"the run ended {run.phase} without a reason; see the log of Argo's workflow-controller"
