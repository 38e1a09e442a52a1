"""The small languages in Argo's YAML: one grammar reads them all, and the simple ones are evaluated here.

``depends``, retry expressions and ``{{= … }}`` are written in expr (https://expr-lang.org/docs/language-definition),
``when`` in govaluate, whose operators are a subset but for ``=~`` and ``!~``, and where a bare word is a text.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>0[xX][0-9a-fA-F_]+|(?:\d[\d_]*(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
  | (?P<name>[A-Za-z_$\#][A-Za-z0-9_$]*)
  | (?P<sign>\?\.|\?\?|\|\||&&|==|!=|<=|>=|=~|!~|\.\.|\*\*|[-+*/%^<>!?:|.,;()\[\]{}=])
    )""",
    re.VERBOSE,
)
WORDS = {"or", "and", "not", "in", "matches", "contains", "startsWith", "endsWith", "let"}
BINDING = {  # of the operators between two operands, from loose to tight
    **dict.fromkeys(["|"], 1),
    **dict.fromkeys(["||", "or", "??"], 2),
    **dict.fromkeys(["&&", "and"], 3),
    **dict.fromkeys(["==", "!=", "<", "<=", ">", ">=", "=~", "!~"], 4),
    **dict.fromkeys(["in", "not", "matches", "contains", "startsWith", "endsWith"], 4),
    **dict.fromkeys([".."], 5),
    **dict.fromkeys(["+", "-"], 6),
    **dict.fromkeys(["*", "/", "%"], 7),
    **dict.fromkeys(["^", "**"], 8),
}


class BadExpressionError(ValueError):
    """The text is not an expression, or not one that can be evaluated here; says where or why."""


@dataclass(frozen=True)
class Node:
    """A part of an expression: ``op`` is literal, name, member, call, list, map, block, not, neg, ?: or an operator."""

    op: str
    args: tuple[Any, ...]


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        end = 0
        text = text.rstrip()
        while end < len(text):
            if (match := TOKEN.match(text, end)) is None:
                rest = text[end:].strip()
                raise BadExpressionError(
                    f"a quote is not closed in {rest!r}" if rest[0] in "'\"`" else f"{rest[0]!r} has no meaning here"
                )
            end = match.end()
            kind = str(match.lastgroup)
            self.tokens.append(("sign" if kind == "name" and match[kind] in WORDS else kind, match[kind]))
        self.tokens.append(("end", ""))
        self.position = 0

    @property
    def sign(self) -> str:
        kind, text = self.tokens[self.position]
        return text if kind == "sign" else ""

    def take(self) -> tuple[str, str]:
        found = self.tokens[self.position]
        self.position += 1
        return found

    def accept(self, sign: str) -> bool:
        if self.sign == sign:
            self.position += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            raise BadExpressionError(f"{sign!r} is missing {self._where()}")

    def _where(self) -> str:
        kind, text = self.tokens[self.position]
        return "at the end" if kind == "end" else f"before {text!r}"

    def whole(self) -> Node:
        node = self.block()
        if self.tokens[self.position][0] != "end":
            raise BadExpressionError(f"an operator is missing {self._where()}")
        return node

    def block(self) -> Node:
        if not self.accept("let"):
            node = self.choice()
            return Node("block", (node, self.block())) if self.accept(";") else node
        self.take()
        self.expect("=")
        value = self.choice()
        self.expect(";")
        return Node("block", (value, self.block()))

    def choice(self) -> Node:
        node = self.binary(1)
        if self.accept("?"):
            yes = None if self.sign == ":" else self.choice()
            self.expect(":")
            return Node("?:", (node, yes, self.choice()))
        return node

    def binary(self, least: int) -> Node:
        node = self.unary()
        while (strength := BINDING.get(self.sign, 0)) >= least:
            operator = self.take()[1]
            if operator == "not":
                operator = f"not {self.sign}"
                if self.sign not in {"in", "matches", "contains", "startsWith", "endsWith"}:
                    raise BadExpressionError(f"'in' is missing after 'not' {self._where()}")
                self.take()
            node = Node(operator, (node, self.binary(strength + 1)))
        return node

    def unary(self) -> Node:
        if self.accept("!") or self.accept("not"):
            return Node("not", (self.unary(),))
        if self.accept("-") or self.accept("+"):
            return Node("neg", (self.unary(),))
        return self.postfix(self.primary())

    def primary(self) -> Node:  # noqa: PLR0911 - one way out for each kind of operand
        kind, text = self.take()
        if kind == "number":
            digits = text.replace("_", "")
            value = int(digits, 16) if digits[:2].lower() == "0x" else float(digits)
            return Node("literal", (value,))
        if kind == "text":
            return Node("literal", (text[1:-1] if text[0] == "`" else re.sub(r"\\(.)", r"\1", text[1:-1]),))
        if kind == "name":
            constants = {"true": True, "false": False, "nil": None}
            return Node("literal", (constants[text],)) if text in constants else Node("name", (text,))
        if text == "(":
            node = self.block()
            self.expect(")")
            return node
        if text == "[":
            return Node("list", self.items("]"))
        if text == "{":
            return self.braces()
        if text == "." and self.tokens[self.position][0] == "name":  # .field of the item in a predicate
            return Node("name", (self.take()[1],))
        self.position -= 1
        raise BadExpressionError(f"an operand is missing {self._where()}")

    def braces(self) -> Node:
        following = self.tokens[self.position + 1] if self.position + 1 < len(self.tokens) else ("end", "")
        if self.sign != "}" and following != ("sign", ":"):
            node = self.block()  # a predicate: {# > 1}
            self.expect("}")
            return node
        pairs: list[Node] = []
        while not self.accept("}"):
            self.take()
            self.expect(":")
            pairs.append(self.choice())
            if not self.accept(",") and self.sign != "}":
                self.expect("}")
        return Node("map", tuple(pairs))

    def items(self, closing: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self.accept(closing):
            found.append(self.choice())
            if not self.accept(",") and self.sign != closing:
                self.expect(closing)
        return tuple(found)

    def postfix(self, node: Node) -> Node:
        while True:
            if self.sign == "?." and self.tokens[self.position + 1] == ("sign", "["):
                self.position += 1  # a?.["b"] reads as a["b"]; where a is not there, evaluating says so either way
            elif self.accept(".") or self.accept("?."):
                kind, text = self.take()
                if kind not in {"name", "sign"} or (kind == "sign" and text not in WORDS):
                    self.position -= 1
                    raise BadExpressionError(f"a name is missing after the dot {self._where()}")
                node = Node("member", (node, Node("literal", (text,))))
            elif node.op in {"name", "member"} and self.accept("("):
                node = Node("call", (node, *self.items(")")))
            elif self.accept("["):
                start = None if self.sign == ":" else self.choice()
                if self.accept(":"):
                    end = None if self.sign == "]" else self.choice()
                    node = Node("slice", (node, start, end))
                else:
                    node = Node("member", (node, start))
                self.expect("]")
            else:
                return node


def parse(text: str) -> Node:
    """Read an expression.

    Raises:
        BadExpressionError: it is none; the message says what is missing where.
    """
    if not text.strip():
        raise BadExpressionError("it is empty")
    return _Parser(text).whole()


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "in": lambda a, b: a in b,
    "not in": lambda a, b: a not in b,
}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {"asInt": int, "int": int, "asFloat": float, "float": float, "string": str}


def evaluate(node: Node, names: Mapping[str, Any]) -> Any:  # noqa: PLR0911, PLR0912 - one case for each operator
    """Evaluate the plain part of the language: and, or, not, comparisons, lists, members, ``asInt``.

    Raises:
        BadExpressionError: the expression uses more than that, or a name that is not given.
    """
    match node:
        case Node("literal", (value,)):
            return value
        case Node("name", (name,)) if name in names:
            return names[name]
        case Node("member", (of, Node("literal", (key,)))):
            found = evaluate(of, names)
            if isinstance(found, Mapping) and key in found:
                return found[key]
            raise BadExpressionError(f"{key!r} is not known here")
        case Node("list", items):
            return [evaluate(item, names) for item in items]
        case Node("not", (of,)):
            return not evaluate(of, names)
        case Node("neg", (of,)):
            return -evaluate(of, names)
        case Node("??", (left, right)):
            try:
                found = evaluate(left, names)
            except BadExpressionError:
                found = None
            return evaluate(right, names) if found is None else found
        case Node("||" | "or", (left, right)):
            return evaluate(left, names) or evaluate(right, names)
        case Node("&&" | "and", (left, right)):
            return evaluate(left, names) and evaluate(right, names)
        case Node("call", (Node("name", (function,)), argument)) if function in FUNCTIONS:
            return FUNCTIONS[function](evaluate(argument, names))
        case Node(operator, (left, right)) if operator in OPERATORS:
            return OPERATORS[operator](evaluate(left, names), evaluate(right, names))
    what = str(node.args[0]) if node.op == "name" else node.op
    raise BadExpressionError(f"{what!r} is not known here")
