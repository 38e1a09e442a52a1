"""What is wrong with the tags of a template: do the names in them exist where they stand?"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from colchis_workflows._argo.catalog import nearest
from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.expressions import parse
from colchis_workflows._argo.grammars import BadExpressionError
from colchis_workflows._argo.tags import tags, texts
from colchis_workflows._lint.values import bad_expression, chains

PLAIN = re.compile(r"[a-zA-Z]+(\.[\w/-]+)+")
WORKFLOW = {"name", "namespace", "uid", "status", "failures", "duration", "priority", "scheduledTime", "mainEntrypoint"}
WORKFLOW |= {"serviceAccountName", "creationTimestamp", "parameters", "labels", "annotations", "outputs", "artifacts"}
ROOTS = {
    "workflow",
    "inputs",
    "outputs",
    "tasks",
    "steps",
    "item",
    "pod",
    "node",
    "lastRetry",
    "cronworkflow",
    "retries",
}
ROOTS |= {"task", "step", "retryStrategy", "resourcesDuration"}


@dataclass
class Names:
    """What tags may name at some place; none for what is not known there."""

    parameters: set[str] | None = None  # the workflow's arguments
    inputs: dict[str, set[str]] = field(default_factory=dict)  # parameters, artifacts → names
    outputs: dict[str, set[str]] = field(default_factory=dict)
    tasks: dict[str, dict[str, set[str]] | None] = field(default_factory=dict)  # task → its outputs, where known
    word: str = "tasks"  # or steps


def declared(part: Object) -> dict[str, set[str]]:
    """Return the names below ``inputs`` or ``outputs``."""
    return {kind: {str(p.get("name")) for p in part.parts(kind)} for kind in ("parameters", "artifacts")}


def bad_tags(value: object, line: int, names: Names) -> Iterator[tuple[int, str, str]]:
    """Return line, what is wrong and what to do, for each tag in the texts below a value."""
    for text, its_line in texts(value, line):
        for tag in tags(text):
            if tag.startswith("="):
                yield from ((its_line, *found) for found in _bad_expression(tag[1:].strip(), names))
            elif PLAIN.fullmatch(tag) and (found := bad_reference(tag.split("."), names)):
                yield its_line, f"{{{{{tag}}}}}: {found[0]}", found[1]


def _bad_expression(text: str, names: Names) -> Iterator[tuple[str, str]]:
    if problem := bad_expression(text):
        yield (
            f"{{{{={text}}}}} is not an expression: {problem}",
            "mend it; https://expr-lang.org/docs/language-definition",
        )
        return
    try:
        found = list(chains(parse(text)))
    except BadExpressionError:
        return
    for chain in found:
        if chain[0] in {"inputs", "workflow", "tasks", "steps"} and (bad := bad_reference(chain, names)):
            yield f"{{{{={text}}}}}: {bad[0]}", bad[1]


def bad_reference(words: list[str], names: Names) -> tuple[str, str] | None:
    """Judge one dotted name; gives what is wrong and what to do."""
    root, kind, name = (*words, "", "")[:3]
    if root not in ROOTS:
        return f"nothing is called {root!r} here", nearest(root, ROOTS)
    if root == "workflow":
        if kind not in WORKFLOW:
            return f"a workflow has no {kind!r}", nearest(kind, WORKFLOW)
        there = names.parameters
        if kind == "parameters" and there is not None and name not in {"", "json", *there}:
            return (
                f"the workflow has no argument {name!r}",
                f"declare it in spec.arguments; {nearest(name, there)}",
            )
    elif root in {"inputs", "outputs"} and kind in {"parameters", "artifacts"} and name:
        there = (names.inputs if root == "inputs" else names.outputs).get(kind, set())
        if name not in there:
            return f"the template has no {root[:-1]} {kind[:-1]} {name!r}", f"declare it; {nearest(name, there)}"
    elif root in {"tasks", "steps"}:
        return _bad_task(words, names)
    return None


def _bad_task(words: list[str], names: Names) -> tuple[str, str] | None:
    root, task, outputs, kind, name = (*words, "", "", "", "")[:5]
    if root != names.word:
        return f"there are no {root} in this template", f"name one of its {names.word}"
    if task not in names.tasks and words[1:] != ["name"]:  # {{tasks.name}} is the task's own, in Argo 4
        return f"no {root[:-1]} is called {task!r}", nearest(task, names.tasks)
    known = names.tasks.get(task)
    if outputs == "outputs" and kind in {"parameters", "artifacts"} and name and known is not None:
        there = known.get(kind, set())
        if name not in there:
            return f"{root[:-1]} {task!r} has no output {kind[:-1]} {name!r}", nearest(name, there)
    return None
