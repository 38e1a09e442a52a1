"""The shape of Argo's documents: what is a text, a list, a mapping. What has another shape is reported and left out.

All that reads a document afterwards relies on it: a part that is there has the shape of this table, a list of named
things holds named ones alone, and nothing is null. Parts that nobody here reads are not in the table and stay as found.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from colchis_workflows._argo.documents import Array, Object, text_of

Shape = Any  # a Scalar, {key: Shape} ("key!" has to be there), [Shape] or Values
Misshape = tuple[int, str, str, str]  # line, where, what is wrong, what to do


@dataclass(frozen=True)
class Scalar:
    """What is neither a mapping nor a list."""

    what: str
    kinds: tuple[type, ...]
    advice: str
    as_text: bool = False

    def fits(self, value: object) -> bool:
        """Report whether the value is one; a boolean is not a number."""
        return isinstance(value, self.kinds) and (bool in self.kinds or not isinstance(value, bool))


@dataclass(frozen=True)
class Values:
    """A mapping with any keys, all of whose values have one shape."""

    of: Shape


TEXT = Scalar("a text", (str,), "put it in quotes")
FLAG = Scalar("true or false", (bool,), "write one of them")
WHOLE = Scalar("a whole number", (int,), "write it without quotes")
NUMBER_OR_TEXT = Scalar("a whole number or a text", (int, str), "write one")
QUANTITY = Scalar("a number or a text", (int, float, str), "write one")
ANY = Scalar("a text, a number or a boolean", (str, int, float, bool), "write JSON as a text, in quotes", as_text=True)

TEMPLATE: dict[str, Shape] = {}
SOURCE = {"path": TEXT, "default": ANY, "parameter": TEXT, "supplied": {}, "expression": TEXT}
PARAMETER = {"name!": TEXT, "value": ANY, "default": ANY, "enum": [ANY], "description": TEXT, "globalName": TEXT}
PARAMETER |= {"valueFrom": SOURCE}
VALUES = {"parameters": [PARAMETER], "artifacts": [{"name!": TEXT, "path": TEXT, "from": TEXT}]}
BASE = {"name": TEXT, "clusterScope": FLAG}
REFERENCE = BASE | {"template": TEXT}
HOOK = {"template": TEXT, "templateRef": REFERENCE, "arguments": VALUES, "expression": TEXT}
TASK = {"name!": TEXT, "when": TEXT, "depends": TEXT, "dependencies": [TEXT], "onExit": TEXT, "hooks": Values(HOOK)}
TASK |= {"template": TEXT, "templateRef": REFERENCE, "arguments": VALUES, "inline": TEMPLATE, "withParam": TEXT}
TASK |= {"withSequence": {}}
MOUNTS = [{"name": TEXT, "mountPath": TEXT}]
RESOURCES = {"limits": Values(QUANTITY), "requests": Values(QUANTITY)}
CONTAINER = {"name": TEXT, "image": TEXT, "command": [TEXT], "args": [TEXT], "volumeMounts": MOUNTS, "source": TEXT}
CONTAINER |= {"env": [{"name!": TEXT, "value": TEXT}], "resources": RESOURCES}
LOCK = {"name": TEXT}
LOCKS = {"mutex": LOCK, "mutexes": [LOCK], "semaphore": {}, "semaphores": [{}]}
BACKOFF = {"duration": TEXT, "maxDuration": TEXT, "cap": TEXT, "factor": NUMBER_OR_TEXT}
RETRY = {"limit": NUMBER_OR_TEXT, "retryPolicy": TEXT, "expression": TEXT, "backoff": BACKOFF}
VOLUMES = [{"name": TEXT}]
TEMPLATE |= {
    "name": TEXT,
    "inputs": VALUES,
    "outputs": VALUES,
    "dag": {"tasks": [TASK], "target": TEXT, "failFast": FLAG},
    "steps": [[TASK]],
    "container": CONTAINER,
    "script": CONTAINER,
    "containerSet": {"containers": [CONTAINER], "volumeMounts": MOUNTS},
    "initContainers": [CONTAINER],
    "sidecars": [CONTAINER],
    "suspend": {"duration": TEXT},
    "resource": {"manifest": TEXT, "successCondition": TEXT, "failureCondition": TEXT},
    "retryStrategy": RETRY,
    "synchronization": LOCKS,
    "volumes": VOLUMES,
    "podSpecPatch": TEXT,
    "activeDeadlineSeconds": NUMBER_OR_TEXT,
    "timeout": TEXT,
    "memoize": {"maxAge": TEXT},
}
SPEC = {
    "entrypoint": TEXT,
    "arguments": VALUES,
    "templates": [TEMPLATE | {"name!": TEXT}],
    "templateDefaults": TEMPLATE,
    "onExit": TEXT,
    "hooks": Values(HOOK),
    "workflowTemplateRef": BASE,
    "parallelism": WHOLE,
    "synchronization": LOCKS,
    "workflowMetadata": {
        "labels": Values(TEXT),
        "annotations": Values(TEXT),
        "labelsFrom": Values({"expression!": TEXT}),
    },
    "volumes": VOLUMES,
    "volumeClaimTemplates": [{"metadata": {"name": TEXT}}],
    "podSpecPatch": TEXT,
    "retryStrategy": RETRY,
}
CRON = {"workflowSpec": SPEC, "schedule": TEXT, "schedules": [TEXT], "timezone": TEXT, "when": TEXT}
CRON |= {"stopStrategy": {"expression": TEXT, "condition": TEXT}, "workflowMetadata": {}}
METADATA = {"name": TEXT, "generateName": TEXT, "namespace": TEXT, "labels": Values(TEXT), "annotations": Values(TEXT)}


def shaped(document: Object) -> tuple[Object, list[Misshape]]:
    """Return a copy of a document of Argo's without what has not the shape of the table, and what that was."""
    spec = CRON if document.get("kind") == "CronWorkflow" else SPEC
    shape = {"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA, "spec": spec}
    problems: list[Misshape] = []
    found = _fit(document, shape, document.line, "", problems)
    return found if isinstance(found, Object) else document.empty(), problems


def _said(value: object) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool | int | float):
        return text_of(value)
    return "empty" if value is None else repr(value)


def _fit(value: Any, shape: Shape, line: int, where: str, problems: list[Misshape]) -> Any:
    """Return the value in its shape, None where it has another one."""
    if isinstance(shape, Scalar):
        if shape.fits(value):
            return text_of(value) if shape.as_text and not isinstance(value, str) else value
        problems.append((line, where, f"this has to be {shape.what} and is {_said(value)}", shape.advice))
        return None
    wanted, kind = (Array, "a list") if isinstance(shape, list) else (Object, "a mapping")
    if not isinstance(value, wanted):
        problems.append((line, where, f"this has to be {kind} and is {_said(value)}", f"write {kind}"))
        return None
    return (
        _list(value, shape[0], where, problems) if isinstance(value, Array) else _mapping(value, shape, where, problems)
    )


def _list(value: Array, shape: Shape, where: str, problems: list[Misshape]) -> Array:
    found, lines = Array(), []
    for place, (item, line) in enumerate(zip(value, value.lines, strict=True)):
        named = item.get("name") if isinstance(item, Object) else None
        inner = f"{where}[{named if isinstance(named, str) else place}]"
        fitted = _fit(item, shape, line, inner, problems)
        if fitted is not None:
            found.append(fitted)
            lines.append(line)
    found.lines = lines
    return found


def _mapping(value: Object, shape: Mapping[str, Shape] | Values, where: str, problems: list[Misshape]) -> Object | None:
    found = value.empty()
    found.lines, found.again = value.lines, value.again
    known = {} if isinstance(shape, Values) else {key.rstrip("!"): inner for key, inner in shape.items()}
    for key, item in value.items():
        inner = shape.of if isinstance(shape, Values) else known.get(key)
        if item is None:  # Argo reads it as if the key were not there
            continue
        fitted = item if inner is None else _fit(item, inner, value.at(key), f"{where}.{key}".lstrip("."), problems)
        if fitted is not None:
            found[key] = fitted
    for key in required(shape):
        if key not in found:
            if value.get(key) is None:
                problems.append((value.line, where, f"this has no {key}", "write one"))
            return None
    return found


def required(shape: Mapping[str, Shape] | Values) -> Iterator[str]:
    """Yield the keys that a mapping of this shape has to have."""
    if not isinstance(shape, Values):
        yield from (key.rstrip("!") for key in shape if key.endswith("!"))


def repeated(value: object) -> Iterator[tuple[int, str]]:
    """Yield line and name of each key that stands twice in its mapping, at any depth."""
    if isinstance(value, Object):
        yield from ((line, key) for key, line in value.again)
        for item in value.values():
            yield from repeated(item)
    elif isinstance(value, Array):
        for item in value:
            yield from repeated(item)
