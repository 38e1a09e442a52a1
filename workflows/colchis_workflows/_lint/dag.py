"""What is wrong between a DAG's tasks: what they wait for, and outputs that nobody may have written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from colchis_workflows._argo.catalog import Catalog, Found, nearest
from colchis_workflows._argo.conditions import ancestors, depends, depends_text, holds
from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.grammars import BadExpressionError, Node
from colchis_workflows._argo.tags import tags, texts
from colchis_workflows._lint.values import in_order

Problem = tuple[int, str, str, str]  # line, where, what is wrong, what to do


@dataclass(frozen=True)
class Graph:
    """A DAG whose tasks are known and wait for one another without a circle."""

    tasks: Mapping[str, Object]
    waits: Mapping[str, set[str]]
    conditions: Mapping[str, Node | None]

    def phases(self, task: str, phase: str) -> dict[str, str]:
        """Return all phases where one task ends so (if skipped, those with its ``when`` too) and the others well."""
        same = str(self.tasks[task].get("when")) if phase == "Skipped" else None
        found: dict[str, str] = {}
        for name in in_order(self.waits):
            condition = self.conditions[name]
            if condition is not None and not holds(condition, {n: found[n] for n in self.waits[name]}):
                found[name] = "Omitted"
            elif name == task:
                found[name] = phase
            else:
                found[name] = (
                    "Skipped" if "when" in self.tasks[name] and self.tasks[name]["when"] == same else "Succeeded"
                )
        return found


def bad_dag(catalog: Catalog, found: Found) -> Iterator[Problem]:
    """Return what is wrong with a DAG template's order and with what its tasks read from one another."""
    tasks = {str(task["name"]): task for task in found.template.part("dag").parts("tasks")}
    yield from _both_ways(tasks)
    waits: dict[str, set[str]] = {}
    conditions: dict[str, Node | None] = {}
    problems: list[Problem] = []
    for name, task in tasks.items():
        key, where = "depends" if "depends" in task else "dependencies", f"task {name}"
        try:
            waits[name], conditions[name] = depends(depends_text(task))
        except BadExpressionError as error:
            problems.append((task.at(key), where, f"depends {task.get(key)!r} is not a condition: {error}", "mend it"))
            continue
        problems += [
            (task.at(key), where, f"it waits for {absent!r}, which is not a task of this DAG", nearest(absent, tasks))
            for absent in sorted(waits[name] - tasks.keys())
        ]
    if not problems:
        before = ancestors(waits)
        problems += [
            (task.line, f"task {name}", "it waits for itself", f"cut the circle through {min(waits[name])!r}")
            for name, task in tasks.items()
            if name in before[name]
        ]
    yield from problems
    if not problems:
        yield from _readers(catalog, found, Graph(tasks, waits, conditions), before)


def _both_ways(tasks: Mapping[str, Object]) -> Iterator[Problem]:
    """Yield the tasks with ``dependencies`` in a DAG in which others have ``depends``."""
    if any("depends" in task for task in tasks.values()):
        for name, task in tasks.items():
            if "dependencies" in task:
                problem = "dependencies and depends stand in one DAG, which Argo refuses"
                yield task.at("dependencies"), f"task {name}", problem, "write depends in all its tasks"


def _reads(value: object, line: int) -> Iterator[tuple[int, str, str]]:
    """Return line, task and output parameter of each tag that reads one."""
    for text, its_line in texts(value, line):
        for tag in tags(text):
            words = tag.split(".")
            if words[0] == "tasks" and words[2:4] == ["outputs", "parameters"] and len(words) == 5:
                yield its_line, words[1], words[4]


def _readers(catalog: Catalog, found: Found, graph: Graph, before: Mapping[str, set[str]]) -> Iterator[Problem]:
    for name, task in graph.tasks.items():
        for line, source, output in _reads(task, task.line):
            if source not in graph.tasks or source == name:
                continue
            where, tag = f"task {name}", f"{{{{tasks.{source}.outputs.parameters.{output}}}}}"
            if source not in before[name]:
                yield line, where, f"it reads {tag} but does not wait for that task", f"add {source} to its depends"
            elif (why := _missing(graph, name, source, before)) and not _default(catalog, found, graph, source, output):
                advice = "give the output valueFrom.default, the same when, or depend on its success"
                yield line, where, f"it reads {tag} and runs also where {why}", advice
    for parameter in found.template.part("outputs").parts("parameters"):
        value = parameter.part("valueFrom")
        for line, source, output in _reads(value.get("parameter"), value.at("parameter")):
            if source not in graph.tasks or "default" in value:
                continue
            if (why := _missing(graph, None, source, before)) and not _default(catalog, found, graph, source, output):
                tag = f"{{{{tasks.{source}.outputs.parameters.{output}}}}}"
                yield (
                    line,
                    f"output {parameter.get('name')}",
                    f"it is {tag} also where {why}",
                    "give it valueFrom.default",
                )


def _missing(graph: Graph, reader: str | None, source: str, before: Mapping[str, set[str]]) -> str:
    """Say how it comes that the source does not run although the reader (or the DAG's end) is reached; or nothing."""
    for cause in sorted({source, *before[source]}):
        for phase in ("Skipped", "Failed"):
            if phase == "Skipped" and "when" not in graph.tasks[cause]:
                continue
            if phase == "Failed" and (reader is None or cause == source):
                continue
            phases = graph.phases(cause, phase)
            if phases[source] in {"Skipped", "Omitted"} and (reader is None or phases[reader] == "Succeeded"):
                return f"{cause!r} is {phase.lower()}"
    return ""


def _default(catalog: Catalog, found: Found, graph: Graph, source: str, output: str) -> bool:
    used = catalog.template(found.document, graph.tasks[source])
    if used is None:
        return True  # what is not there is found elsewhere
    outputs = used.template.part("outputs").parts("parameters")
    return any("default" in p.part("valueFrom") for p in outputs if p.get("name") == output)
