"""Read an expression by a grammar: rows of operators become a tree by a table, errors become a sentence's part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.exceptions import VisitError

OPERANDS = {"NAME", "WORD", "NUMBER"}
CLOSING = {"RPAR": ")", "RSQB": "]", "RBRACE": "}", "COLON": ":"}
TIGHTEST = 1000


class BadExpressionError(ValueError):
    """The text is not an expression, or not one that can be evaluated here; says where or why."""


@dataclass(frozen=True)
class Node:
    """A part of an expression: ``op`` is literal, name, member, call, list, map, block, not, neg, ?: or an operator."""

    op: str
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Operators:
    """How tightly operators bind: a higher number is tighter.

    Those in ``right`` group from the right; those in ``tight`` take one operand on their right, whatever follows it.
    """

    binary: Mapping[str, int]
    unary: Mapping[str, int]
    right: frozenset[str] = frozenset()
    tight: frozenset[str] = frozenset()

    def tree(self, row: Sequence[Any]) -> Node:
        """Bind a row of operands and operators, as in ``1 + 2 * 3``; ``-x`` in it is ``Node("unary", ("-", x))``."""
        return self._bind(list(row), 0)

    def _bind(self, row: list[Any], least: int) -> Node:
        node = self._operand(row)
        while row and self.binary[row[0]] >= least:
            sign = row.pop(0)
            after = self.binary[sign] + (sign not in self.right)
            node = Node(sign, (node, self._bind(row, TIGHTEST if sign in self.tight else after)))
        return node

    def _operand(self, row: list[Any]) -> Node:
        first: Node = row.pop(0)
        if first.op != "unary":
            return first
        sign, operand = first.args
        row.insert(0, operand)
        return Node({"!": "not", "-": "neg", "+": "pos"}.get(sign, sign), (self._bind(row, self.unary[sign]),))


class Language:
    """One grammar, beside this module, and what makes nodes of what it reads."""

    def __init__(self, grammar: str, transformer: Transformer[Token, Node]) -> None:
        self.file, self.transformer = Path(__file__).parent / grammar, transformer

    @cached_property
    def lark(self) -> Lark:
        """Return the parser; it is made for the first expression, since few commands read one."""
        return Lark(self.file.read_text(encoding="utf-8"), parser="lalr", maybe_placeholders=True)

    def parse(self, text: str) -> Node:
        """Read an expression.

        Raises:
            BadExpressionError: it is none; the message says what is missing where.
        """
        if not text.strip():
            raise BadExpressionError("it is empty")
        try:
            return self.transformer.transform(self.lark.parse(text))
        except UnexpectedInput as error:
            raise BadExpressionError(_sentence(error, text)) from None
        except VisitError as error:
            if isinstance(error.orig_exc, BadExpressionError):
                raise error.orig_exc from None
            raise
        except RecursionError:
            raise BadExpressionError("it is nested too deep") from None


def _sentence(error: UnexpectedInput, text: str) -> str:
    if isinstance(error, UnexpectedCharacters):
        rest = text[error.pos_in_stream :]
        if rest[0] in "'\"`":
            return f"a quote is not closed in {rest.partition(chr(10))[0]!r}"
        return f"{rest[0]!r} has no meaning here" + (", '==' compares" if rest[0] == "=" else "")
    assert isinstance(error, UnexpectedToken), "a parser raises nothing else"  # noqa: S101
    at_end = error.token.type == "$END"
    where = "at the end" if at_end else f"before {str(error.token)!r}"
    return f"{_missing(error.accepts or set(), at_end)} is missing {where}"


def _missing(accepted: set[str], at_end: bool) -> str:
    if accepted == {"MEMBER"}:
        return "a name after the dot"
    if OPERANDS & accepted:
        return "an operand"
    closing = [sign for kind, sign in CLOSING.items() if kind in accepted]
    return repr(closing[0]) if closing and (at_end or "BINARY" not in accepted) else "an operator"
