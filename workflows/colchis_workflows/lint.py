"""Find what is wrong in Argo YAML before it runs: ``colchis lint``, offline, with what ``argo lint --offline`` misses.

Reads   YAML files, or directories of them (default: our own rendered templates)
Writes  stdout: one finding a line, ``file:line: object/template/task: what is wrong; what to do``
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from colchis_workflows._argo.catalog import Catalog, Found, name_of, nearest, spec_of
from colchis_workflows._argo.documents import Object, read
from colchis_workflows._argo.errors import CommandError, InputError
from colchis_workflows._argo.tags import tags
from colchis_workflows._lint.dag import bad_dag
from colchis_workflows._lint.tags import Names, bad_tags, declared
from colchis_workflows._lint.values import bad_name, bad_retry, bad_selector, bad_stop, bad_when
from colchis_workflows.render import default_documents

Problem = tuple[int, str, str, str]  # line, where, what is wrong, what to do


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong."""

    file: str
    line: int
    where: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.where}: {self.problem}; {self.advice}"


def lint(documents: Sequence[Object]) -> list[Finding]:
    """Give all findings in the documents, which may refer to one another."""
    catalog = Catalog(documents)
    found: set[Finding] = set()
    for document in catalog.documents:
        top = name_of(document)
        for line, where, problem, advice in _document(catalog, document):
            found.add(Finding(document.file, line, f"{top}/{where}".rstrip("/"), problem, advice))
    return sorted(found)


def _document(catalog: Catalog, document: Object) -> Iterator[Problem]:
    metadata, spec, kind = document.part("metadata"), spec_of(document), str(document["kind"])
    key = "name" if "name" in metadata else "generateName"
    if problem := bad_name(kind, str(metadata.get(key, "")), generated=key == "generateName"):
        yield metadata.at(key), "", problem, "rename it"
    if kind == "CronWorkflow":
        yield from _cron(document.part("spec"))
    base = catalog.workflow_template(spec.part("workflowTemplateRef")) if "workflowTemplateRef" in spec else None
    if "workflowTemplateRef" in spec:
        yield from _by_reference(spec, base)
    yield from _arguments(spec)
    own = {str(p.get("name")) for p in spec.part("arguments").parts("parameters")}
    if base is not None:
        own |= {str(p.get("name")) for p in spec_of(base).part("arguments").parts("parameters")}
    parameters = None if "workflowTemplateRef" in spec and base is None else own
    templates = spec.parts("templates")
    entry = spec.get("entrypoint")
    if entry is not None and base is None and entry not in {t.get("name") for t in templates}:
        yield spec.at("entrypoint"), "", f"entrypoint {entry!r} is no template here", _near(entry, templates)
    yield from _ends(catalog, document, spec, base)
    for key in ("workflowMetadata", "podMetadata", "synchronization", "hooks"):
        if key in spec:
            yield from ((n, key, p, a) for n, p, a in bad_tags(spec[key], spec.at(key), Names(parameters)))
    for template in templates:
        where = str(template.get("name"))
        for line, inner, problem, advice in _template(catalog, Found(document, template), parameters):
            yield line, f"{where}/{inner}".rstrip("/"), problem, advice


def _near(name: object, templates: Sequence[Object]) -> str:
    return nearest(str(name), (str(t.get("name")) for t in templates))


def _cron(spec: Object) -> Iterator[Problem]:
    stop = spec.part("stopStrategy")
    text = stop.get("expression", stop.get("condition"))
    if text is not None and (problem := bad_stop(str(text))):
        yield stop.at("expression"), "stopStrategy", f"{text!r} is no expression: {problem}", "mend it"
    if "when" in spec:
        condition = str(spec["when"])
        yield from ((n, "when", p, a) for n, p, a in bad_tags(condition, spec.at("when"), Names()))
        if not any(tag.startswith("=") for tag in tags(condition)) and (problem := bad_when(condition)):
            yield spec.at("when"), "when", f"{condition!r} is no condition: {problem}", "mend it"


def _arguments(spec: Object) -> Iterator[Problem]:
    for parameter in spec.part("arguments").parts("parameters"):
        for key in ("value", "default"):
            if key in parameter:
                yield from _enum(parameter, parameter, key)


def _enum(parameter: Object, given: Object, key: str = "value") -> Iterator[Problem]:
    """Judge a value by the choices that the parameter has; one with a tag is known at run time only."""
    choices = [str(choice) for choice in parameter.get("enum") or []]
    value = str(given.get(key))
    if key in given and choices and not tags(value) and value not in choices:
        what = f"argument {given.get('name')!r} is {value!r}, which is none of {', '.join(choices)}"
        yield given.at(key), "", what, nearest(value, choices)


def _given(use: Object, wanted: Sequence[Object], whom: str, *, all_needed: bool = True) -> Iterator[Problem]:
    """Hold the arguments of a use against the parameters that are wanted."""
    known = {str(p.get("name")): p for p in wanted}
    given = {str(p.get("name")): p for p in use.part("arguments").parts("parameters")}
    for name, argument in given.items():
        if name in known:
            yield from _enum(known[name], argument)
        else:
            yield argument.at("name"), "", f"{whom} has no parameter {name!r}", nearest(name, known)
    for name, parameter in known.items():
        if all_needed and name not in given and not {"value", "default", "valueFrom"} & parameter.keys():
            yield use.line, "", f"{whom} is not given its parameter {name!r}, which has no default", "give it"


def _by_reference(spec: Object, base: Object | None) -> Iterator[Problem]:
    reference = spec.part("workflowTemplateRef")
    name = str(reference.get("name"))
    if base is None:
        yield reference.at("name"), "", f"workflow template {name!r} is in none of the files", "name its file too"
        return
    wanted = spec_of(base).part("arguments").parts("parameters")
    yield from _given(spec, wanted, f"workflow template {name!r}")


def _ends(catalog: Catalog, document: Object, spec: Object, base: Object | None) -> Iterator[Problem]:
    at = base if base is not None else document
    if "onExit" in spec:
        name = spec["onExit"]
        use = spec.part("")
        use["template"] = name
        if catalog.template(document, use) is None and catalog.template(at, use) is None:
            yield (
                spec.at("onExit"),
                "onExit",
                f"{name!r} is no template here",
                _near(name, spec_of(document).parts("templates")),
            )
    yield from _hooks(catalog, document, spec)


def _hooks(catalog: Catalog, document: Object, use: Object) -> Iterator[Problem]:
    for name in use.part("hooks"):
        hook = use.part("hooks").part(name)
        where = f"hook {name}"
        for line, _, problem, advice in _use(catalog, document, hook):
            yield line, where, problem, advice
        if "expression" in hook and (problem := bad_when(str(hook["expression"]))):
            yield hook.at("expression"), where, f"its expression is none: {problem}", "mend it"


def _use(catalog: Catalog, document: Object, use: Object) -> Iterator[Problem]:
    """Judge what a task, step or hook uses: is it there, and does it get what it wants?"""
    reference = use.part("templateRef")
    name = str(reference.get("template") if "templateRef" in use else use.get("template"))
    if ("template" not in use and "templateRef" not in use) or tags(f"{name} {reference.get('name')}"):
        return
    found = catalog.template(document, use)
    if found is not None:
        inputs = found.template.part("inputs").parts("parameters")
        yield from _given(use, inputs, f"template {name!r}")
        return
    line = reference.at("template") if "templateRef" in use else use.at("template")
    if "templateRef" in use and catalog.workflow_template(reference) is None:
        problem = f"workflow template {reference.get('name')!r} is in none of the files"
        yield line, "", problem, "name its file too"
        return
    other = catalog.workflow_template(reference) if "templateRef" in use else document
    yield line, "", f"{name!r} is no template there", _near(name, spec_of(other or document).parts("templates"))


def _template(catalog: Catalog, found: Found, parameters: set[str] | None) -> Iterator[Problem]:
    template = found.template
    names = Names(parameters, declared(template.part("inputs")), declared(template.part("outputs")))
    yield from _retry(template)
    yield from _resource(template.part("resource"))
    uses = [("tasks", task) for task in template.part("dag").parts("tasks")]
    for group in template.get("steps") or []:
        uses += [
            ("steps", step) for step in (group if isinstance(group, list) else [group]) if isinstance(step, Object)
        ]
    names.word = "tasks" if "dag" in template else "steps"
    for _, use in uses:
        used = catalog.template(found.document, use)
        inline = use.part("inline") if "inline" in use else None
        whose = used.template if used else inline
        names.tasks[str(use.get("name"))] = None if whose is None else declared(whose.part("outputs"))
    for key, value in template.items():
        if key not in {"dag", "steps"}:
            yield from ((n, "", p, a) for n, p, a in bad_tags(value, template.at(key), names))
    for word, use in uses:
        where = f"{word[:-1]} {use.get('name')}"
        yield from ((n, where, p, a) for n, p, a in bad_tags(use, use.line, names))
        for line, _, problem, advice in _use(catalog, found.document, use):
            yield line, where, problem, advice
        yield from ((n, f"{where}/{w}", p, a) for n, w, p, a in _ends(catalog, found.document, use, None))
        condition = str(use.get("when", ""))
        if "when" in use and "{{=" not in condition and (problem := bad_when(condition)):
            yield use.at("when"), where, f"when {condition!r} is no condition: {problem}", "mend it"
    if "dag" in template:
        yield from bad_dag(catalog, found)


def _retry(template: Object) -> Iterator[Problem]:
    strategy = template.part("retryStrategy")
    text = strategy.get("expression")
    if text is not None and "{{" not in str(text) and (problem := bad_retry(str(text))):
        yield strategy.at("expression"), "retryStrategy", f"{text!r} is no expression: {problem}", "mend it"


def _resource(resource: Object) -> Iterator[Problem]:
    for key in ("successCondition", "failureCondition"):
        if key in resource and (problem := bad_selector(str(resource[key]))):
            advice = "compare a plain field, as in status.succeeded > 0"
            yield resource.at(key), key, problem, advice


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="colchis lint",
        description="Find what is wrong in Argo YAML before it runs, offline.",
        epilog="example:\n  colchis lint workflows/ more.yaml\n\nexit codes: 0 clean, 2 usage, 65 findings",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="YAML file or directory (default: our templates)"
    )
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Print the findings; the exit code says whether there are any."""
    args = parser().parse_args(argv)
    try:
        documents = read(args.paths) if args.paths else default_documents()
        findings = lint(documents)
    except CommandError as error:
        print(f"colchis lint: {error}", file=sys.stderr)
        return error.exit_code
    for finding in findings:
        print(finding)
    checked = len(Catalog(documents).documents)
    ending = "" if checked == 1 else "s"
    print(f"{checked} object{ending} of Argo's, {len(findings)} findings", file=sys.stderr)
    return InputError.exit_code if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
