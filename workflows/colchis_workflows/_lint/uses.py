"""What is wrong with what a task, a step, a hook or a workflow uses: is it there, does it get what it wants?"""

import difflib
from collections.abc import Iterator, Sequence

from colchis_workflows._argo.catalog import Catalog, nearest, spec_of
from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.tags import tags
from colchis_workflows._lint.values import bad_expression

Problem = tuple[int, str, str, str]  # line, where, what is wrong, what to do


def near(name: object, templates: Sequence[Object]) -> str:
    """Return which template may have been meant."""
    return nearest(str(name), (str(t.get("name")) for t in templates))


def bad_choices(spec: Object) -> Iterator[Problem]:
    """Judge the workflow's own arguments by the choices that they have."""
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


def _given(use: Object, wanted: Sequence[Object], whom: str) -> Iterator[Problem]:
    """Hold the arguments of a use against the parameters that are wanted.

    Argo passes over an argument that nobody wants, and compilers write such: it is reported where it may have been
    meant for a parameter that is not given.
    """
    known = {str(p.get("name")): p for p in wanted}
    given = {str(p.get("name")): p for p in use.part("arguments").parts("parameters")}
    open_ones = known.keys() - given.keys()
    for name, argument in given.items():
        if name in known:
            yield from _enum(known[name], argument)
        elif meant := difflib.get_close_matches(name, sorted(open_ones), n=1, cutoff=0.6):
            yield argument.at("name"), "", f"{whom} has no parameter {name!r}", f"did you mean {meant[0]!r}?"
    for name, parameter in known.items():
        if name not in given and not {"value", "default", "valueFrom"} & parameter.keys():
            yield use.line, "", f"{whom} is not given its parameter {name!r}, which has no default", "give it"


def bad_base(spec: Object, base: Object | None) -> Iterator[Problem]:
    """Judge a ``workflowTemplateRef``."""
    reference = spec.part("workflowTemplateRef")
    name = str(reference.get("name"))
    if base is None:
        yield reference.at("name"), "", f"workflow template {name!r} is in none of the files", "name its file too"
        return
    yield from _given(spec, spec_of(base).part("arguments").parts("parameters"), f"workflow template {name!r}")


def bad_ends(catalog: Catalog, document: Object, use: Object, base: Object | None = None) -> Iterator[Problem]:
    """Judge the exit handler and the hooks of a task or a workflow."""
    if "onExit" in use:
        handler = use.part("")
        handler["template"] = name = use["onExit"]
        if not tags(name) and all(catalog.template(at, handler) is None for at in (document, base or document)):
            yield (
                use.at("onExit"),
                "onExit",
                f"{name!r} is not a template here",
                near(name, spec_of(document).parts("templates")),
            )
    for name in use.part("hooks"):
        hook = use.part("hooks").part(name)
        for line, _, problem, advice in bad_use(catalog, base or document, hook):
            yield line, f"hook {name}", problem, advice
        if "expression" not in hook and name != "exit":
            yield use.part("hooks").at(name), f"hook {name}", "it has no expression, so that it never runs", "write one"
        elif "expression" in hook and (problem := bad_expression(hook["expression"])):
            yield hook.at("expression"), f"hook {name}", f"its expression is none: {problem}", "mend it"


def bad_use(catalog: Catalog, document: Object, use: Object) -> Iterator[Problem]:
    """Judge what a task, step or hook uses: is it there, and does it get what it wants?"""
    reference = use.part("templateRef")
    name = str(reference.get("template") if "templateRef" in use else use.get("template"))
    if ("template" not in use and "templateRef" not in use) or tags(f"{name} {reference.get('name')}"):
        return
    found = catalog.template(document, use)
    if found is not None:
        yield from _given(use, found.template.part("inputs").parts("parameters"), f"template {name!r}")
        return
    line = reference.at("template") if "templateRef" in use else use.at("template")
    other = catalog.workflow_template(reference) if "templateRef" in use else document
    if other is None:
        yield line, "", f"workflow template {reference.get('name')!r} is in none of the files", "name its file too"
        return
    yield line, "", f"{name!r} is not a template there", near(name, spec_of(other).parts("templates"))
