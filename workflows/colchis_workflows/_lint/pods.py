"""What is wrong with how a template's pod runs: durations, limits, quantities, mounts, patches."""

import re
from collections.abc import Iterator
from typing import Any

from colchis_workflows._argo.catalog import nearest
from colchis_workflows._argo.documents import Object, UnreadableError, parse
from colchis_workflows._argo.durations import DURATION, seconds
from colchis_workflows._argo.errors import InputError
from colchis_workflows._argo.tags import TAG, tags

Problem = tuple[int, str, str, str]  # line, where, what is wrong, what to do
QUANTITY = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")
OWN = {"input-artifacts", "argo-staging", "tmp-dir-argo", "var-run-argo"}  # volumes that Argo adds
DURATIONS = ("duration", "maxDuration", "cap")


def bad_pod(template: Object, volumes: set[str] | None) -> Iterator[Problem]:
    """Yield what is wrong with a template's pod; ``volumes`` are those it has from outside, None where unknown."""
    yield from _times(template)
    yield from bad_patch(template)
    patched = "volumes" in str(template.get("podSpecPatch"))
    known = (
        None if volumes is None or patched else volumes | OWN | {str(v.get("name")) for v in template.parts("volumes")}
    )
    for container in containers(template):
        for mount in container.parts("volumeMounts"):
            name = mount.get("name", "")
            if known is not None and name not in known and not tags(name):
                yield mount.at("name"), "", f"volume {name!r} is mounted and not declared", nearest(name, known - OWN)
        for kind in ("limits", "requests"):
            amounts = container.part("resources").part(kind)
            for resource, amount in amounts.items():
                if QUANTITY.fullmatch(str(amount)) is None:  # Argo refuses a tag here too
                    what = f"resources.{kind}.{resource} {amount!r} is not a quantity"
                    yield amounts.at(resource), "", what, "write one like 500m, 2 or 1Gi; a tag goes into podSpecPatch"


def containers(template: Object) -> Iterator[Object]:
    """Yield each container of a template's pod."""
    yield from (template.part(key) for key in ("container", "script", "containerSet") if key in template)
    for key in ("initContainers", "sidecars"):
        yield from template.parts(key)
    yield from template.part("containerSet").parts("containers")


def bad_patch(of: Object) -> Iterator[Problem]:
    """Judge a podSpecPatch: YAML or JSON of a mapping once its tags have values."""
    text = of.get("podSpecPatch", "")
    if not text or TAG.fullmatch(text.strip()):
        return
    line = of.at("podSpecPatch")
    try:
        found = parse(TAG.sub("placeholder", text), "podSpecPatch")
    except UnreadableError as error:
        yield line, "podSpecPatch", f"it does not parse: {error.problem} in line {error.line} of it", "mend it"
    else:
        if not found:
            yield line, "podSpecPatch", f"{text!r} is not a mapping", "write a part of a pod's spec"


def _number(value: Any) -> bool:
    return bool(re.fullmatch(r"\d+", str(value))) or bool(tags(str(value)))


def _times(template: Object) -> Iterator[Problem]:
    yield from bad_retry_times(template.part("retryStrategy"))
    yield from _duration(template.part("suspend"), "duration", "suspend")
    deadline = template.get("activeDeadlineSeconds")
    if deadline is not None and not _number(deadline):
        what = f"activeDeadlineSeconds {deadline!r} is not a number"
        yield template.at("activeDeadlineSeconds"), "", what, "write seconds"
    for of, key in ((template, "timeout"), (template.part("memoize"), "maxAge")):
        text = of.get(key)
        if text is not None and not tags(text) and DURATION.fullmatch(text) is None:
            yield of.at(key), "", f"{key} {text!r} is not a duration", "write one with its unit, like 30s, 5m or 1h30m"


def bad_retry_times(retry: Object) -> Iterator[Problem]:
    """Judge the numbers and durations of a retry strategy."""
    backoff = retry.part("backoff")
    for of, key in ((retry, "limit"), (backoff, "factor")):
        if key in of and not _number(of[key]):
            yield of.at(key), "retryStrategy", f"{key} {of[key]!r} is not a number", "write a whole number"
    for key in DURATIONS:
        yield from _duration(backoff, key, "retryStrategy")


def _duration(of: Object, key: str, where: str) -> Iterator[Problem]:
    text = str(of.get(key, "0"))
    try:
        seconds("0" if tags(text) else text)
    except InputError:
        yield of.at(key), where, f"{key} {text!r} is not a duration", "write one like 30, 30s, 5m or 1h30m"
