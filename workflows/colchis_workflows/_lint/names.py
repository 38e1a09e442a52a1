"""What is wrong with names and loops: a name that stands twice, ``item`` where nothing is gone through."""

import json
from collections.abc import Iterable, Iterator, Mapping

from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.tags import TAG, tags, texts

Problem = tuple[int, str, str, str]  # line, where, what is wrong, what to do
LOOPS = ("withItems", "withParam", "withSequence")


def twice(things: Iterable[Object], what: str) -> Iterator[Problem]:
    """Yield each thing whose name an earlier one has."""
    seen: dict[str, int] = {}
    for thing in things:
        name = str(thing.get("name"))
        if name in seen:
            yield thing.at("name"), "", f"a second {what} has the name {name!r}, as in line {seen[name]}", "rename one"
        seen.setdefault(name, thing.at("name"))


def twice_in(values: Mapping[str, Object]) -> Iterator[Problem]:
    """Yield the parameters and artifacts that stand twice below arguments, inputs or outputs."""
    for what, part in values.items():
        for kind in ("parameters", "artifacts"):
            yield from twice(part.parts(kind), f"{what} {kind[:-1]}")


def bad_loop(use: Object) -> Iterator[Problem]:
    """Judge what a task or step goes through, and ``item`` in one that goes through nothing."""
    text = use.get("withParam", "")
    if "withParam" in use and not TAG.search(text) and not _is_list(text):
        yield use.at("withParam"), "", f"withParam {text!r} is not a JSON list", 'write one like ["a", "b"], or a tag'
    if not any(key in use for key in LOOPS):
        for found, line in texts(use, use.line):
            for tag in tags(found):
                if tag == "item" or tag.startswith("item."):
                    yield line, "", f"{{{{{tag}}}}} is known in a loop alone", "give the task withItems or withParam"


def _is_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except ValueError:
        return False
