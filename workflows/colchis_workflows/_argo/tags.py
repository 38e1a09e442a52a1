"""Argo's tags in texts: ``{{inputs.parameters.x}}`` and its like are replaced; ``{{= … }}`` holds an expression."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from colchis_workflows._argo.documents import Array, Object
from colchis_workflows._argo.errors import InputError
from colchis_workflows._argo.expressions import evaluate, parse
from colchis_workflows._argo.grammars import BadExpressionError

TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def tags(text: str) -> list[str]:
    """Return what stands between the braces of each tag, without the spaces around it."""
    return [match.strip() for match in TAG.findall(text)]


def replace(text: str, scope: Mapping[str, str]) -> str:
    """Replace the tags that ``scope`` knows; the others stay as they are."""
    return TAG.sub(lambda match: scope.get(match[1].strip(), match[0]), text)


def texts(value: Any, line: int = 0) -> Iterator[tuple[str, int]]:
    """Return each text below a value, keys aside, with its line."""
    if isinstance(value, str):
        yield value, line
    elif isinstance(value, Object):
        for key, item in value.items():
            yield from texts(item, value.at(key))
    elif isinstance(value, Array):
        for item, its_line in zip(value, value.lines, strict=True):
            yield from texts(item, its_line)


def fill(text: str, scope: Mapping[str, str]) -> str:
    """Replace all tags, expressions too; what their values hold is not looked at again, be it braces.

    Raises:
        InputError: a tag has no value.
    """
    return TAG.sub(lambda match: _filled(match[1].strip(), scope), text)


def _filled(tag: str, scope: Mapping[str, str]) -> str:
    if tag.startswith("="):
        prefix = "inputs.parameters."
        inputs = {name.removeprefix(prefix): value for name, value in scope.items() if name.startswith(prefix)}
        try:
            return str(evaluate(parse(tag[1:]), {"inputs": {"parameters": inputs}}))
        except BadExpressionError as error:
            raise InputError(f"{{{{{tag}}}}} has no value here: {error}") from error
    if tag not in scope:
        raise InputError(f"{{{{{tag}}}}} has no value here; a task that was skipped gives none")
    return scope[tag]
