"""govaluate, the language of ``when``, as Argo's library reads and evaluates it: a bare word is a text.

The grammar is govaluate.lark. Texts that look like dates are compared as texts, where govaluate compares them as times.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from lark import Token, Transformer, v_args

from colchis_workflows._argo.grammars import BadExpressionError, Language, Node, Operators

OPERATORS = Operators(
    binary={
        "??": 5,
        "||": 10,
        "&&": 20,
        **dict.fromkeys(["==", "!=", "<", "<=", ">", ">=", "=~", "!~", "in"], 30),
        **dict.fromkeys(["&", "|", "^"], 40),
        **dict.fromkeys(["<<", ">>"], 50),
        **dict.fromkeys(["+", "-"], 60),
        **dict.fromkeys(["*", "/", "%"], 70),
        "**": 80,
    },
    unary=dict.fromkeys("!-~", 90),
)


@v_args(inline=True)
class _Tree(Transformer[Token, Node]):
    """Makes nodes, from the leaves up; a method for each rule of the grammar."""

    def start(self, node: Node) -> Node:
        return node

    def sequence(self, *items: Node) -> Node:
        return Node("list", items)

    def row(self, *parts: Any) -> Node:
        return OPERATORS.tree([part if isinstance(part, Node) else str(part).lower() for part in parts])

    def unary(self, sign: Token, operand: Node) -> Node:
        return Node("unary", (str(sign), operand))

    def conditional(self, condition: Node, yes: Node, no: Node | None) -> Node:
        return Node("?:", (condition, yes, no))

    def constant(self, word: Token) -> Node:
        return Node("literal", (str(word) == "true",))

    def number(self, text: Token) -> Node:
        try:
            return Node("literal", (float(int(text, 16)) if text.startswith("0x") else float(text),))
        except ValueError:
            raise BadExpressionError(f"{str(text)!r} is not a number; put it in quotes") from None

    def word(self, text: Token) -> Node:
        if "." in re.sub(r"\\.", "", text):
            raise BadExpressionError(f"{str(text)!r} is read as a field of something; put it in quotes")
        return Node("name", (_unescaped(text),))

    def bracketed(self, text: Token) -> Node:
        return Node("name", (_unescaped(text[1:-1]),))

    def text(self, quoted: Token) -> Node:
        return Node("literal", (_unescaped(quoted[1:-1]),))

    def group(self, inner: Node | None) -> Node:
        return Node("list", ()) if inner is None else inner


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


LANGUAGE = Language("govaluate.lark", _Tree())


def parse(text: str) -> Node:
    """Read a condition.

    Raises:
        BadExpressionError: it is none; the message says what is missing where.
    """
    return LANGUAGE.parse(text)


def _numbers(sign: str, reckon: Callable[[float, float], Any]) -> Callable[[Any, Any], Any]:
    def both(left: Any, right: Any) -> Any:
        for value in (left, right):
            if not isinstance(value, float):
                raise BadExpressionError(f"{value!r} is not a number, which {sign!r} needs")
        return reckon(left, right)

    return both


def _ordered(sign: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    numbers = _numbers(sign, compare)
    return lambda a, b: compare(a, b) if isinstance(a, str) and isinstance(b, str) else numbers(a, b)


def _sum(left: Any, right: Any) -> Any:
    if isinstance(left, str) or isinstance(right, str):
        return _written(left) + _written(right)
    return _numbers("+", lambda a, b: a + b)(left, right)


def _written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _in(value: Any, among: Any) -> bool:
    if not isinstance(among, list) or len(among) < 2:
        raise BadExpressionError("'in' needs two or more values in brackets, as in (a, b)")
    return any(_equal(value, one) for one in among)


def _equal(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def _matches(text: Any, pattern: Any) -> bool:
    try:
        return re.search(str(pattern), str(text)) is not None
    except re.error as error:
        raise BadExpressionError(f"{pattern!r} is not a pattern: {error}") from error


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "==": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "<": _ordered("<", lambda a, b: a < b),
    "<=": _ordered("<=", lambda a, b: a <= b),
    ">": _ordered(">", lambda a, b: a > b),
    ">=": _ordered(">=", lambda a, b: a >= b),
    "=~": _matches,
    "!~": lambda a, b: not _matches(a, b),
    "in": _in,
    "+": _sum,
    "-": _numbers("-", lambda a, b: a - b),
    "*": _numbers("*", lambda a, b: a * b),
    "/": _numbers("/", lambda a, b: a / b),
    "%": _numbers("%", lambda a, b: a % b),
    "**": _numbers("**", math.pow),
    "&": _numbers("&", lambda a, b: float(int(a) & int(b))),
    "|": _numbers("|", lambda a, b: float(int(a) | int(b))),
    "^": _numbers("^", lambda a, b: float(int(a) ^ int(b))),
    "<<": _numbers("<<", lambda a, b: float(int(a) << min(int(b), 64))),
    ">>": _numbers(">>", lambda a, b: float(int(a) >> int(b))),
}


def when(text: str) -> bool:
    """Report whether a ``when`` without tags holds.

    Raises:
        BadExpressionError: it is not a condition, or gives neither true nor false.
    """
    try:
        found = _value(parse(text))
    except (ArithmeticError, ValueError) as error:
        if isinstance(error, BadExpressionError):
            raise
        raise BadExpressionError(f"it cannot be evaluated: {error}") from error
    if not isinstance(found, bool):
        raise BadExpressionError(f"it gives {found!r}, neither true nor false; compare it with something")
    return found


def _truth(node: Node, sign: str) -> bool:
    found = _value(node)
    if not isinstance(found, bool):
        raise BadExpressionError(f"{found!r} is neither true nor false, which {sign!r} needs")
    return found


def _value(node: Node) -> Any:  # noqa: PLR0911 - one way out for each kind of node
    match node:
        case Node("literal" | "name", (value,)):
            return value
        case Node("list", items):
            return [_value(item) for item in items]
        case Node("&&" | "||" as sign, (left, right)):
            first = _truth(left, sign)
            return first if first == (sign == "||") else _truth(right, sign)
        case Node("?:", (condition, yes, no)):
            return _value(yes) if _truth(condition, "?") else _value(no) if no else None
        case Node("??", (left, right)):
            found = _value(left)
            return _value(right) if found is None else found
        case Node("not", (of,)):
            return not _truth(of, "!")
        case Node("neg" | "~" as sign, (of,)):
            found = _value(of)
            if not isinstance(found, float):
                raise BadExpressionError(f"{found!r} is not a number, which '{'-' if sign == 'neg' else sign}' needs")
            return -found if sign == "neg" else float(~int(found))
    return BINARY[node.op](_value(node.args[0]), _value(node.args[1]))
