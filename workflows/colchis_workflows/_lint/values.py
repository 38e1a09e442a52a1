"""What is wrong with a single value: a name, a condition, an expression. Each gives a sentence's part, or nothing."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from colchis_workflows._argo.expressions import BINARY, parse
from colchis_workflows._argo.grammars import BadExpressionError, Node
from colchis_workflows._argo.tags import TAG, tags
from colchis_workflows._argo.when import parse as condition
from colchis_workflows._argo.when import when

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = re.compile(rf"{LABEL}(\.{LABEL})*")
KEY = re.compile(rf"({LABEL}(\.{LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?")
VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
REQUIREMENT = re.compile(r"(!?)\s*([^\s=!<>(),]+)\s*(?:(==|=|!=|<|>)\s*(.*?)|(in|notin)\s*\(([^()]*)\))?\s*")
LAST_RETRY = {"exitCode", "status", "duration", "message"}
CRON = {"name", "namespace", "labels", "annotations", "succeeded", "failed", "lastScheduledTime"}
WORD = "placeholder"
LONGEST = {"CronWorkflow": 52}


def bad_name(kind: str, name: str, generated: bool) -> str:
    """Judge an object's name; a CronWorkflow's is short because its runs' names are made from it."""
    longest = LONGEST.get(kind, 253)
    if generated:
        name += "x"
    if len(name) > longest:
        return f"the name has {len(name)} characters, at most {longest} are allowed"
    if SUBDOMAIN.fullmatch(name) is None:
        return (
            f"{name.removesuffix('x') if generated else name!r} is not a name of an object: a-z, 0-9, - and . make one"
        )
    return ""


def bad_selector(text: str) -> str:
    """Judge a successCondition or failureCondition: Argo reads them as label selectors over fields."""
    for part in re.split(r",(?![^()]*\))", TAG.sub(WORD, text)):
        match = REQUIREMENT.fullmatch(part.strip())
        if match is None:
            return f"{part.strip()!r} is not a condition like status.succeeded > 0"
        negated, key, operator, value, _, listed = match.groups()
        if KEY.fullmatch(key) is None:
            return f"{key!r} is not a field that a condition can name: letters, digits, - _ and . only"
        if negated and (operator or listed is not None):
            return f"{part.strip()!r} has both ! and a comparison"
        if operator in {"<", ">"} and not re.fullmatch(rf"-?\d+|{WORD}", value):
            return f"{operator} compares whole numbers, not {value!r}"
        for one in [value] if operator else (listed or "").split(","):
            if one is not None and VALUE.fullmatch(one.strip()) is None:
                return f"{one.strip()!r} is not a value that a condition can have: letters, digits, - _ and . only"
    return ""


def bad_when(text: str) -> str:
    """Judge a ``when``; what a tag gives is taken for a word."""
    try:
        node = condition(TAG.sub(WORD, text))
        if not tags(text):
            when(text)
    except BadExpressionError as error:
        return str(error)
    for part in _nodes(node):
        words = [a.args[0] for a in part.args if isinstance(a, Node) and a.op == "name" and a.args[0] != WORD]
        if part.op in {"-", "/", "*", "%", "&", "|", "^", "<<", ">>", "**"} and words:
            return f"{words[0]!r} is a text and {part.op!r} reckons with numbers; put the whole text in quotes"
    if node.op in {"name", "literal", "neg"} and node.args[0] not in {WORD, True, False}:
        return "it compares nothing"
    return ""


def bad_expression(text: str) -> str:
    """Judge what stands in ``{{= … }}``, or in the expression of a hook, where a tag is taken for a name."""
    try:
        parse(TAG.sub(WORD, text))
    except BadExpressionError as error:
        return str(error)
    return ""


def bad_retry(text: str) -> str:
    """Judge a retry expression: it may ask of the last attempt what Argo knows, all of it texts."""
    try:
        node = parse(text)
    except BadExpressionError as error:
        return str(error)
    for chain in chains(node):
        if chain[0] == "lastRetry" and len(chain) > 1 and chain[1] not in LAST_RETRY:
            return f"lastRetry has no {chain[1]!r}, only {', '.join(sorted(LAST_RETRY))}"
    for part in _nodes(node):
        if part.op in BINARY and len(part.args) == 2:
            left, right = part.args
            if _chain(left) in (["lastRetry", "exitCode"], ["lastRetry", "duration"]) and _numeric(right):
                return f"lastRetry.{_chain(left)[1]} is a text and is compared with a number; use asInt(…)"
    return ""


def bad_stop(text: str) -> str:
    """Judge a CronWorkflow's stopStrategy.expression."""
    try:
        node = parse(text)
    except BadExpressionError as error:
        return str(error)
    for chain in chains(node):
        if chain[0] != "cronworkflow":
            return f"{chain[0]!r} is not known there, only cronworkflow is"
        if len(chain) > 1 and chain[1] not in CRON:
            return f"cronworkflow has no {chain[1]!r}, only {', '.join(sorted(CRON))}"
    return ""


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for arg in node.args:
        if isinstance(arg, Node):
            yield from _nodes(arg)


def _chain(node: Any) -> list[str]:
    match node:
        case Node("name", (name,)):
            return [str(name)]
        case Node("member", (of, Node("literal", (key,)))):
            inner = _chain(of)
            return [*inner, str(key)] if inner else []
    return []


def _numeric(node: Any) -> bool:
    match node:
        case Node("literal", (value,)):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Node("list", items):
            return any(_numeric(item) for item in items)
        case Node("neg", (of,)):
            return _numeric(of)
    return False


def chains(node: Node) -> Iterator[list[str]]:
    """Return each name with its members, as ``["inputs", "parameters", "x"]``; functions' names are left out."""
    if chain := _chain(node):
        yield chain
        return
    for index, arg in enumerate(node.args):
        if isinstance(arg, Node) and not (node.op == "call" and index == 0 and arg.op == "name"):
            yield from chains(arg)


def in_order(waits: Mapping[str, set[str]]) -> list[str]:
    """Return the tasks in an order in which each comes after those that it waits for."""
    order: list[str] = []
    while len(order) < len(waits):
        ready = [name for name, before in waits.items() if name not in order and before <= set(order)]
        if not ready:
            return order
        order.extend(ready)
    return order
