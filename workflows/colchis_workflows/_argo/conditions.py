"""What decides whether a task runs, or runs again: ``depends`` and the retry expression (``when`` has its module)."""

import json
import re
from collections.abc import Iterable, Mapping

from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.expressions import evaluate, parse
from colchis_workflows._argo.grammars import BadExpressionError, Node
from colchis_workflows._runs.node import Node as TaskNode

PHASES = {"Succeeded": "Succeeded", "Failed": "Failed", "Errored": "Error", "Skipped": "Skipped", "Omitted": "Omitted"}
RESULTS = {*PHASES, "Daemoned", "AnySucceeded", "AllFailed"}
TASK = re.compile(r"([a-zA-Z0-9][-a-zA-Z0-9]*?)\.([A-Z][a-zA-Z]+)|([a-zA-Z0-9][-a-zA-Z0-9]*)")


def depends_text(task: Object) -> str:
    """Return a task's ``depends``; the older ``dependencies`` are the names with "and" between them."""
    if isinstance(task.get("depends"), str):
        return str(task["depends"])
    listed = task.get("dependencies")
    return " && ".join(str(name) for name in listed) if isinstance(listed, list) else ""


def depends(text: str) -> tuple[set[str], Node | None]:
    """Read what a task waits for: the tasks' names, and the condition on their results.

    Raises:
        BadExpressionError: it is not a condition, or asks for a result that there is not.
    """
    names: set[str] = set()

    def explicit(match: re.Match[str]) -> str:
        name, result, alone = match.groups()
        if alone is not None:
            names.add(alone)
            key = json.dumps(alone)
            return f"(results[{key}].Succeeded || results[{key}].Skipped || results[{key}].Daemoned)"
        if result not in RESULTS:
            raise BadExpressionError(f"{result!r} is not a result of a task")
        names.add(name)
        return f"results[{json.dumps(name)}].{result}"

    if not text.strip():
        return names, None
    return names, parse(TASK.sub(explicit, text))


def holds(condition: Node, phases: Mapping[str, str]) -> bool:
    """Return whether the condition of ``depends`` holds for the phases of the tasks that it names."""
    results = {
        name: {
            "Daemoned": False,
            "AnySucceeded": False,
            "AllFailed": False,
            **{result: phase == of for result, of in PHASES.items()},
        }
        for name, phase in phases.items()
    }
    return bool(evaluate(condition, {"results": results}))


def retry(expression: str, status: str, exit_code: int) -> bool:
    """Return whether a retry expression asks for another attempt after one that ended so.

    Raises:
        BadExpressionError: it asks for more than status, exit code and message.
    """
    last = {"status": status, "exitCode": str(exit_code), "message": "", "duration": "0"}
    return bool(evaluate(parse(expression), {"lastRetry": last}))


def retried(strategy: Object, node: TaskNode) -> bool:
    """Return whether a task's last attempt is to be followed by another; how many there may be is not asked here."""
    last = node.attempts[-1]
    policy = str(strategy.get("retryPolicy", "Always" if "expression" in strategy else "OnFailure"))
    if policy != "Always" and policy != {"Failed": "OnFailure", "Error": "OnError"}.get(last.phase):
        return False
    return retry(str(strategy.get("expression", "true")), last.phase, -1 if last.exit_code is None else last.exit_code)


def ancestors(waits: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Give, for each task, all tasks that it waits for, directly or not; in a circle a task is its own ancestor."""
    found: dict[str, set[str]] = {}
    for start in waits:
        seen: set[str] = set()
        ahead = list(waits[start])
        while ahead:
            name = ahead.pop()
            if name not in seen:
                seen.add(name)
                ahead.extend(waits.get(name, ()))
        found[start] = seen
    return found
