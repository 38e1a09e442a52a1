"""Find what is wrong in Argo YAML before it runs: ``colchis lint``, offline, with what ``argo lint --offline`` misses.

Reads   YAML files, or directories of them (default: our own rendered templates)
Writes  stdout: one finding a line, ``file:line: object/template/task: what is wrong; what to do``
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from colchis_workflows._argo.catalog import Catalog, Found, name_of, spec_of
from colchis_workflows._argo.documents import Object, UnreadableError, documents_of, files_below
from colchis_workflows._argo.errors import CommandError, InputError
from colchis_workflows._argo.shapes import repeated
from colchis_workflows._lint.cron import bad_cron
from colchis_workflows._lint.dag import bad_dag
from colchis_workflows._lint.names import bad_loop, twice, twice_in
from colchis_workflows._lint.pods import bad_patch, bad_pod, bad_retry_times
from colchis_workflows._lint.reach import Reach, uses
from colchis_workflows._lint.tags import Names, bad_tags, declared
from colchis_workflows._lint.uses import bad_base, bad_choices, bad_ends, bad_use, near
from colchis_workflows._lint.values import bad_name, bad_retry, bad_selector, bad_when
from colchis_workflows._runs.printable import printable
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
        place = f"{self.where}: " if self.where else ""
        return f"{self.file}:{self.line}: {place}{self.problem}; {self.advice}"


def lint(documents: Sequence[Object], known: Sequence[Object] = ()) -> list[Finding]:
    """Return all findings in the documents, which may refer to one another and to those that are known beside them."""
    catalog = Catalog(documents, known)
    found: set[Finding] = set()
    for document, (line, where, problem, advice) in catalog.misshapen:
        found.add(Finding(document.file, line, f"{name_of(document)}/{where}", problem, advice))
    for document in catalog.documents:
        for line, where, problem, advice in _document(catalog, document):
            found.add(Finding(document.file, line, f"{name_of(document)}/{where}".rstrip("/"), problem, advice))
    return sorted(found)


def readable(paths: Iterable[Path]) -> tuple[list[Object], list[Finding]]:
    """Read files and directories; a file that is broken is a finding, and hides neither the others nor what is before.

    Raises:
        UsageError: a path is not there, or a directory holds no YAML.
    """
    documents: list[Object] = []
    broken: list[Finding] = []
    for file in files_below(paths):
        try:
            documents.extend(documents_of(file))
        except UnreadableError as error:
            broken.append(Finding(error.file, error.line, "", error.problem, error.advice))
    return documents, broken


def _document(catalog: Catalog, document: Object) -> Iterator[Problem]:
    metadata, spec, kind = document.part("metadata"), spec_of(document), str(document["kind"])
    key = "name" if "name" in metadata else "generateName"
    if problem := bad_name(kind, str(metadata.get(key, "")), generated=key == "generateName"):
        yield metadata.at(key), "", problem, "rename it"
    yield from (
        (line, "", f"key {name!r} stands twice in one mapping", "keep one; argo lint and kubectl refuse both")
        for line, name in repeated(document)
    )
    if kind == "CronWorkflow":
        yield from bad_cron(catalog, document)
    yield from _spec(catalog, document, spec)
    reach = Reach(catalog, document)
    for key in ("workflowMetadata", "podMetadata", "synchronization", "hooks"):
        if key in spec:
            names = Names(reach.parameters_of())
            yield from ((n, key, p, a) for n, p, a in bad_tags(spec[key], spec.at(key), names))
    for template in spec.parts("templates"):
        where = str(template["name"])
        for line, inner, problem, advice in _template(catalog, Found(document, template), reach):
            yield line, f"{where}/{inner}".rstrip("/"), problem, advice


def _spec(catalog: Catalog, document: Object, spec: Object) -> Iterator[Problem]:
    base = catalog.workflow_template(spec.part("workflowTemplateRef")) if "workflowTemplateRef" in spec else None
    if "workflowTemplateRef" in spec:
        yield from bad_base(spec, base)
    templates = spec.parts("templates")
    yield from bad_choices(spec)
    yield from twice_in({"argument": spec.part("arguments")})
    yield from twice(templates, "template")
    yield from bad_patch(spec)
    yield from bad_retry_times(spec.part("retryStrategy"))
    entry = spec.get("entrypoint")
    if entry is not None and "workflowTemplateRef" not in spec and entry not in {t["name"] for t in templates}:
        yield spec.at("entrypoint"), "", f"entrypoint {entry!r} is not a template here", near(entry, templates)
    yield from bad_ends(catalog, document, spec, base)


def _template(catalog: Catalog, found: Found, reach: Reach) -> Iterator[Problem]:
    template = found.template
    inputs, outputs = template.part("inputs"), template.part("outputs")
    names = Names(reach.parameters_of(str(template["name"])), declared(inputs), declared(outputs))
    yield from twice_in({"input": inputs, "output": outputs})
    yield from bad_pod(template, reach.volumes_of(str(template["name"])))
    yield from _retry(template)
    yield from _resource(template.part("resource"))
    used = list(uses(template))
    yield from twice((use for _, use in used), "task" if "dag" in template else "step")
    names.word = "tasks" if "dag" in template else "steps"
    for _, use in used:
        other = catalog.template(found.document, use)
        whose = other.template if other else use.part("inline") if "inline" in use else None
        names.tasks[str(use["name"])] = None if whose is None else declared(whose.part("outputs"))
    for key, value in template.items():
        if key not in {"dag", "steps"}:
            yield from ((n, "", p, a) for n, p, a in bad_tags(value, template.at(key), names))
    for word, use in used:
        where = f"{word[:-1]} {use['name']}"
        for line, inner, problem, advice in _use(catalog, found.document, use, names):
            yield line, f"{where}/{inner}".rstrip("/"), problem, advice
    if "dag" in template:
        yield from bad_dag(catalog, found)


def _use(catalog: Catalog, document: Object, use: Object, names: Names) -> Iterator[Problem]:
    yield from ((n, "", p, a) for n, p, a in bad_tags(use, use.line, names))
    yield from bad_use(catalog, document, use)
    yield from bad_ends(catalog, document, use)
    yield from bad_loop(use)
    yield from twice_in({"argument": use.part("arguments")})
    condition = use.get("when", "")
    if condition and "{{=" not in condition and (problem := bad_when(condition)):
        yield use.at("when"), "", f"when {condition!r} is not a condition: {problem}", "mend it"


def _retry(template: Object) -> Iterator[Problem]:
    strategy = template.part("retryStrategy")
    text = strategy.get("expression")
    if text is not None and "{{" not in text and (problem := bad_retry(text)):
        yield strategy.at("expression"), "retryStrategy", f"{text!r} is not an expression: {problem}", "mend it"


def _resource(resource: Object) -> Iterator[Problem]:
    for key in ("successCondition", "failureCondition"):
        if key in resource and (problem := bad_selector(resource[key])):
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
        ours = default_documents()
        documents, broken = readable(args.paths) if args.paths else (ours, [])
        findings = sorted([*broken, *lint(documents, ours)])
    except CommandError as error:
        print(printable(f"colchis lint: {error}"), file=sys.stderr)
        return error.exit_code
    for finding in findings:
        print(printable(str(finding)))
    checked = len(Catalog(documents).documents)
    ending = "" if checked == 1 else "s"
    print(f"{checked} object{ending} of Argo's, {len(findings)} findings", file=sys.stderr)
    return InputError.exit_code if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
