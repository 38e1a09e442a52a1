"""expr, the language of ``depends``, retry expressions and ``{{= … }}``, as Argo's library reads and evaluates it.

The grammar is expr.lark (https://expr-lang.org/docs/language-definition). What a local run needs is evaluated here:
and, or, not, comparisons, arithmetic, lists, members and conversions.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from lark import Token, Transformer, v_args

from colchis_workflows._argo.grammars import BadExpressionError, Language, Node, Operators

OPERATORS = Operators(
    binary={
        "|": 0,
        **dict.fromkeys(["||", "or"], 10),
        **dict.fromkeys(["&&", "and"], 15),
        **dict.fromkeys(["==", "!=", "<", "<=", ">", ">="], 20),
        **dict.fromkeys(["in", "matches", "contains", "startsWith", "endsWith"], 20),
        **dict.fromkeys([f"not {word}" for word in ("in", "matches", "contains", "startsWith", "endsWith")], 20),
        "..": 25,
        **dict.fromkeys(["+", "-"], 30),
        **dict.fromkeys(["*", "/", "%"], 60),
        **dict.fromkeys(["**", "^"], 100),
        "??": 500,
    },
    unary={"not": 50, "!": 50, "-": 90, "+": 90},
    right=frozenset({"**", "^"}),
    tight=frozenset({"|"}),
)
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
NUMBER = re.compile(r"0[xX][\da-fA-F]+|0[oO][0-7]+|0[bB][01]+|(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def _number(text: str) -> int | float:
    digits = text.replace("_", "")
    if NUMBER.fullmatch(digits) is None:
        raise BadExpressionError(f"{text!r} is not a number")
    if digits[:2].lower() in {"0x", "0o", "0b"}:
        return int(digits, 0)
    return int(digits) if digits.isdecimal() else float(digits)


def _text(quoted: str) -> str:
    """Read a quoted text with the escapes of Go; between ` there are none."""

    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code in ESCAPES or code == quoted[0]:
            return ESCAPES.get(code, code)
        if len(code) == 1:
            raise BadExpressionError(f"\\{code} in {quoted} is not an escape; write \\\\{code}")
        value = int(code, 8) if code.isdecimal() else int(code[1:], 16)
        if value > 0x10FFFF:
            raise BadExpressionError(f"\\{code} in {quoted} is not a character")
        return chr(value)

    return quoted[1:-1].replace("``", "`") if quoted[0] == "`" else ESCAPE.sub(one, quoted[1:-1])


def _given(nodes: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(node for node in nodes if node is not None)


@v_args(inline=True)
class _Tree(Transformer[Token, Node]):
    """Makes nodes, from the leaves up; a method for each rule of the grammar."""

    def start(self, node: Node) -> Node:
        return _plain(node)

    def row(self, *parts: Any) -> Node:
        words = [part if isinstance(part, Node) else " ".join(str(part).split()) for part in parts]
        return OPERATORS.tree(words)

    def unary(self, sign: Token, operand: Node) -> Node:
        return Node("unary", (str(sign), operand))

    def sequence(self, first: Node, second: Node | None = None) -> Node:
        return Node("block", _given((first, second)))

    def let(self, _: Token, value: Node, rest: Node) -> Node:
        return Node("block", (value, rest))

    def block(self, inner: Node) -> Node:
        return Node("block", (inner,))

    def conditional(self, condition: Node, yes: Node | None, no: Node) -> Node:
        return Node("?:", (condition, yes, no))

    def member(self, of: Node, name: Token) -> Node:
        return Node("member", (of, Node("literal", (str(name),))))

    def index(self, of: Node, key: Node) -> Node:
        return Node("member", (of, key))

    def slice(self, of: Node, start: Node | None, _: Token, end: Node | None) -> Node:
        return Node("slice", (of, start, end))

    def call(self, function: Node, arguments: Node | None = None) -> Node:
        return Node("call", (function, *(arguments.args if arguments else ())))

    def method(self, of: Node, name: Token, arguments: Node | None = None) -> Node:
        return self.call(self.member(of, name), arguments)

    def arguments(self, *arguments: Node) -> Node:
        return Node("arguments", _given(arguments))

    def name(self, name: Token) -> Node:
        return Node("name", (str(name),))

    pointer = field = name

    def constant(self, word: Token) -> Node:
        return Node("literal", ({"true": True, "false": False, "nil": None}[str(word)],))

    def number(self, text: Token) -> Node:
        return Node("literal", (_number(str(text)),))

    def text(self, quoted: Token) -> Node:
        return Node("literal", (_text(str(quoted)),))

    def group(self, inner: Node) -> Node:
        return Node("group", (inner,))

    def list(self, *items: Node | None) -> Node:
        return Node("list", _given(items))

    def map(self, *pairs: Node | None) -> Node:
        return Node("map", _given(pairs))

    def pair(self, _: Any, value: Node) -> Node:
        return value

    def key(self, key: Any) -> Any:
        return key


def _plain(node: Node) -> Node:
    """Take brackets out of the tree; without them ``??`` may not stand left of another operator."""
    if node.op == "group":
        return _plain(node.args[0])
    if node.op in OPERATORS.binary and node.op != "??" and node.args[0].op == "??":
        raise BadExpressionError(f"?? and {node.op!r} are mixed; put brackets around one of them")
    if node.op == "|" and node.args[1].op != "call":
        raise BadExpressionError("a call is missing after '|'")
    return Node(node.op, tuple(_plain(arg) if isinstance(arg, Node) else arg for arg in node.args))


LANGUAGE = Language("expr.lark", _Tree())


def parse(text: str) -> Node:
    """Read an expression.

    Raises:
        BadExpressionError: it is none; the message says what is missing where.
    """
    return LANGUAGE.parse(text)


def _number_or_text(value: Any) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _alike(sign: str, *kinds: type) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any, Any], Any]]:
    """Let an operator take two values of one of these kinds alone, as expr does."""

    def checked(work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def both(left: Any, right: Any) -> Any:
            if _number_or_text(left) is not _number_or_text(right) or _number_or_text(left) not in kinds:
                raise BadExpressionError(f"{sign!r} does not go with {left!r} and {right!r}")
            return work(left, right)

        return both

    return checked


def _in(value: Any, among: Any) -> bool:
    if not isinstance(among, list | Mapping):
        raise BadExpressionError(f"'in' needs a list, not {among!r}")
    return value in among


def _equal(left: Any, right: Any) -> bool:
    return _number_or_text(left) is _number_or_text(right) and bool(left == right)


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "==": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "<": _alike("<", float, str)(lambda a, b: a < b),
    "<=": _alike("<=", float, str)(lambda a, b: a <= b),
    ">": _alike(">", float, str)(lambda a, b: a > b),
    ">=": _alike(">=", float, str)(lambda a, b: a >= b),
    "in": _in,
    "not in": lambda a, b: not _in(a, b),
    "startsWith": _alike("startsWith", str)(str.startswith),
    "+": _alike("+", float, str)(lambda a, b: a + b),
    "-": _alike("-", float)(lambda a, b: a - b),
    "*": _alike("*", float)(lambda a, b: a * b),
    "/": _alike("/", float)(lambda a, b: a / b),
    "%": _alike("%", float)(math.fmod),
    "**": _alike("**", float)(math.pow),
    "^": _alike("^", float)(math.pow),
}


def _replace(text: Any, old: Any, new: Any) -> str:
    if not all(isinstance(given, str) for given in (text, old, new)):
        raise BadExpressionError("'replace' takes three texts")
    return str(text).replace(old, new)


def _trim_prefix(text: Any, prefix: Any) -> str:
    if not (isinstance(text, str) and isinstance(prefix, str)):
        raise BadExpressionError("'trimPrefix' takes two texts")
    return text.removeprefix(prefix)


FUNCTIONS: dict[str, Callable[..., Any]] = {"asInt": int, "int": int, "asFloat": float, "float": float, "string": str}
FUNCTIONS |= {"replace": _replace, "trimPrefix": _trim_prefix}


def evaluate(node: Node, names: Mapping[str, Any]) -> Any:
    """Evaluate the plain part of the language.

    Raises:
        BadExpressionError: the expression uses more than that, a name that is not given, or a value of a wrong kind.
    """
    try:
        return _value(node, names)
    except (ArithmeticError, TypeError, ValueError) as error:
        if isinstance(error, BadExpressionError):
            raise
        raise BadExpressionError(f"it cannot be evaluated: {error}") from error


def _truth(node: Node, names: Mapping[str, Any]) -> bool:
    found = _value(node, names)
    if not isinstance(found, bool):
        raise BadExpressionError(f"{found!r} is neither true nor false")
    return found


def _value(node: Node, names: Mapping[str, Any]) -> Any:  # noqa: PLR0911, PLR0912 - one case for each operator
    match node:
        case Node("literal", (value,)):
            return value
        case Node("name", (name,)) if name in names:
            return names[name]
        case Node("member", (of, Node("literal", (key,)))):
            found = _value(of, names)
            if isinstance(found, Mapping) and key in found:
                return found[key]
            raise BadExpressionError(f"{key!r} is not known here")
        case Node("list", items):
            return [_value(item, names) for item in items]
        case Node("not" | "neg" | "pos" as sign, (of,)):
            return (
                not _truth(of, names) if sign == "not" else -_value(of, names) if sign == "neg" else _value(of, names)
            )
        case Node("?:", (condition, yes, no)):
            chosen = (yes or condition) if _truth(condition, names) else no
            return _value(chosen, names)
        case Node("??", (left, right)):
            try:
                found = _value(left, names)
            except BadExpressionError:
                found = None
            return _value(right, names) if found is None else found
        case Node("||" | "or", (left, right)):
            return _truth(left, names) or _truth(right, names)
        case Node("&&" | "and", (left, right)):
            return _truth(left, names) and _truth(right, names)
        case Node("call", (Node("name", (function,)), *arguments)) if function in FUNCTIONS:
            return FUNCTIONS[function](*(_value(argument, names) for argument in arguments))
        case Node(operator, (left, right)) if operator in BINARY:
            return BINARY[operator](_value(left, names), _value(right, names))
    what = str(node.args[0]) if node.op == "name" else node.op
    raise BadExpressionError(f"{what!r} is not known here")
