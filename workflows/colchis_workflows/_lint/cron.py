"""What is wrong with when and how a CronWorkflow runs: schedules, time zone, conditions, arguments."""

from collections.abc import Iterator
from functools import cache
from importlib import resources

from colchis_workflows._argo.catalog import Catalog, nearest, spec_of
from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.durations import bad_schedule
from colchis_workflows._argo.tags import tags
from colchis_workflows._lint.tags import Names, bad_tags
from colchis_workflows._lint.values import bad_stop, bad_when

Problem = tuple[int, str, str, str]  # line, where, what is wrong, what to do


@cache
def time_zones() -> frozenset[str]:
    """Return the names of all time zones: of the tzdata package, so that each machine knows the same."""
    names = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset({"", "Local", "UTC", *names})


def bad_cron(catalog: Catalog, document: Object) -> Iterator[Problem]:
    """Yield what is wrong with a CronWorkflow beside its workflow."""
    spec = document.part("spec")
    yield from _schedules(spec)
    zone = spec.get("timezone")
    if zone is not None and zone not in time_zones():
        near = nearest(zone, time_zones()) if len(zone) > 2 else ""
        yield (
            spec.at("timezone"),
            "timezone",
            f"{zone!r} is not a time zone",
            near if "mean" in near else "write one like Europe/Berlin",
        )
    stop = spec.part("stopStrategy")
    text = stop.get("expression", stop.get("condition"))
    if text is not None and (problem := bad_stop(text)):
        yield stop.at("expression"), "stopStrategy", f"{text!r} is not an expression: {problem}", "mend it"
    if "when" in spec:
        condition = spec["when"]
        yield from ((n, "when", p, a) for n, p, a in bad_tags(condition, spec.at("when"), Names()))
        if not any(tag.startswith("=") for tag in tags(condition)) and (problem := bad_when(condition)):
            yield spec.at("when"), "when", f"{condition!r} is not a condition: {problem}", "mend it"
    yield from _arguments(catalog, spec_of(document))


def _schedules(spec: Object) -> Iterator[Problem]:
    listed = spec.get("schedules")
    if not listed and "schedule" not in spec:
        yield (
            spec.at("schedules"),
            "schedules",
            "there is no schedule, so that it never runs",
            'write one, as "0 2 * * *"',
        )
    schedules = [(spec["schedule"], spec.at("schedule"))] if "schedule" in spec else []
    schedules += zip(listed, listed.lines, strict=True) if listed is not None else []
    for text, line in schedules:
        if problem := bad_schedule(text):
            yield line, "schedules", f"{text!r} is not a schedule: {problem}", 'write one like "0 2 * * *"'


def _arguments(catalog: Catalog, spec: Object) -> Iterator[Problem]:
    """Nobody is there to give a value when the time comes, and a default does not stand for it in Argo."""
    base = catalog.workflow_template(spec.part("workflowTemplateRef"))
    wanted = spec_of(base).part("arguments").parts("parameters") if base else []
    valued = {p["name"] for p in wanted if {"value", "valueFrom"} & p.keys()}
    for parameter in spec.part("arguments").parts("parameters"):
        if not {"value", "valueFrom"} & parameter.keys() and parameter["name"] not in valued:
            yield (
                parameter.line,
                "",
                f"argument {parameter['name']!r} has no value, and a CronWorkflow asks nobody",
                "give it one",
            )
