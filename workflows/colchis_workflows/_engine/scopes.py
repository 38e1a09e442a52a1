"""What follows from what in a workflow: values that its templates read, a DAG's phase, what an exit handler is told."""

import json
import time
from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime
from getpass import getuser
from typing import Any

from colchis_workflows._argo.catalog import name_of, spec_of
from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.errors import InputError
from colchis_workflows._argo.expressions import evaluate, parse
from colchis_workflows._argo.grammars import BadExpressionError
from colchis_workflows._argo.tags import fill, tags
from colchis_workflows._engine.record import Record
from colchis_workflows._runs.node import BAD, Node

Scope = Mapping[str, str]


def global_scope(document: Object, arguments: Scope, record: Record) -> dict[str, str]:
    """Return what all templates of the run may read; locally the user stands for the service account."""
    spec = spec_of(document)
    facts: dict[str, Any] = {"parameters": arguments, "labels": {}, "serviceAccountName": getuser()}
    scope = {f"workflow.parameters.{name}": value for name, value in arguments.items()}
    scope |= {
        "workflow.name": f"{name_of(document)}-{record.run}",
        "workflow.uid": record.run,
        "workflow.namespace": "local",
        "workflow.mainEntrypoint": str(spec.get("entrypoint")),
        "workflow.serviceAccountName": facts["serviceAccountName"],
        "workflow.creationTimestamp": datetime.fromtimestamp(record.started, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    metadata = spec.part("workflowMetadata")
    labels = {name: str(value) for name, value in metadata.part("labels").items()}
    for name, source in metadata.part("labelsFrom").items():
        try:
            labels[name] = str(evaluate(parse(str(source["expression"])), {"workflow": facts}))
        except BadExpressionError as error:
            raise InputError(
                f"{document.file}:{metadata.at('labelsFrom')}: label {name} cannot be found: {error}; run it on Argo"
            ) from error
    scope["workflow.labels.json"] = json.dumps(labels, sort_keys=True)
    return scope | {f"workflow.labels.{name}": value for name, value in labels.items()}


def dag_phase(waits: Mapping[str, set[str]], phases: Mapping[str, str]) -> str:
    """Return a DAG's phase from its tasks': that of its leaves, where one that did not run has that of its branch.

    So a failure counts unless a task that waited for it succeeded after it; Argo's failFast changes nothing in that.
    """
    branches: dict[str, set[str]] = {}

    def branch(name: str) -> set[str]:
        if name not in branches:
            above = [branch(parent) for parent in waits[name]]
            inherited = set().union(*above) if above else {"Succeeded"}
            branches[name] = {phases[name]} if phases[name] in {"Succeeded", *BAD} else inherited
        return branches[name]

    leaves = sorted(waits.keys() - set().union(*waits.values()))
    return next((phase for leaf in leaves for phase in sorted(branch(leaf)) if phase in BAD), "Succeeded")


def outputs_of_skipped(template: Object) -> dict[str, str]:
    """Return the outputs of a task that did not run: the defaults, as Argo does since 3.7.16 and 4.0.7."""
    outputs = template.part("outputs").parts("parameters")
    sources = {str(output["name"]): output.part("valueFrom") for output in outputs}
    return {name: str(source["default"]) for name, source in sources.items() if "default" in source}


def outputs_of_dag(template: Object, scope: Scope) -> dict[str, str]:
    """Return a DAG's outputs, which are outputs of its tasks.

    Raises:
        InputError: the task did not run and the output has no default.
    """
    found: dict[str, str] = {}
    for parameter in template.part("outputs").parts("parameters"):
        source = parameter.part("valueFrom")
        try:
            found[str(parameter["name"])] = fill(str(source.get("parameter")), scope)
        except InputError as error:
            if "default" not in source:
                raise InputError(f"output {parameter['name']!r}: {error}; give it valueFrom.default") from error
            found[str(parameter["name"])] = str(source["default"])
    return found


def arguments_of(use: Object, scope: Scope) -> dict[str, str]:
    """Return the arguments of a task or hook.

    Raises:
        InputError: one has a tag without a value.
    """
    return {str(p["name"]): fill(str(p.get("value")), scope) for p in use.part("arguments").parts("parameters")}


def named(use: Object, scope: Scope) -> Object:
    """Return a task whose ``templateRef`` names its document; Argo fills that in by the DAG's inputs, before any task.

    Raises:
        InputError: the name has a tag without a value among them.
    """
    reference = use.part("templateRef")
    if not tags(name := str(reference.get("name", ""))):
        return use
    inputs = {key: value for key, value in scope.items() if not key.startswith("tasks.")}
    found, known = copy(use), copy(reference)
    known["name"], found["templateRef"] = fill(name, inputs), known
    return found


def failure(node: Node, record: Record) -> dict[str, str]:
    """Return what an exit handler is told of a failed node, with Argo's names."""
    name = record.nodes[""].template if not node.path else node.name
    finished = datetime.fromtimestamp(node.finished or time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "displayName": name,
        "message": node.message,
        "templateName": node.template,
        "phase": node.phase,
        "podName": node.path,
        "finishedAt": finished,
    }
