"""YAML documents as Argo reads them, whose parts know their file and line, so that a finding can point at them.

Argo and kubectl read YAML by sigs.k8s.io/yaml: YAML 1.1 of go-yaml, turned into JSON. So ``yes`` is true and ``1e3`` a
number, while ``12:30:45`` and dates are texts; tests/workflows/yaml.json holds what that library answers.
"""

import base64
import binascii
import math
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import yaml

from colchis_workflows._argo.errors import InputError, UsageError

SUFFIXES = {".yaml", ".yml"}
MOST = 500_000  # values in one document: aliases of aliases make any number of them
DEEPEST = 100

TRUE = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
FALSE = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
NULL = {"", "~", "null", "Null", "NULL"}
NO_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
WHOLE = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
PLAIN = "?"  # the tag of a scalar without quotes and without a tag
RESOLVED = {PLAIN, *(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null"))}
BASES = {"0x": 16, "0b": 2, "0o": 8}


class UnreadableError(InputError):
    """A file, or the rest of one, cannot be read as YAML."""

    def __init__(self, file: str, line: int, problem: str, advice: str) -> None:
        super().__init__(f"{file}:{line}: {problem}; {advice}")
        self.file, self.line, self.problem, self.advice = file, line, problem, advice


class Object(dict[str, Any]):
    """A mapping; ``lines`` holds where each key stands, ``again`` the keys that stand twice."""

    file: str = ""
    line: int = 0
    lines: dict[str, int]
    again: list[tuple[str, int]]

    def at(self, key: str) -> int:
        """Return the line of a key, or of the mapping where the key is not there."""
        return self.lines.get(key, self.line)

    def part(self, key: str) -> Self:
        """Return the mapping under a key; an empty one at this line where there is none."""
        found = self.get(key)
        return found if isinstance(found, type(self)) else self.empty()

    def parts(self, key: str) -> list[Self]:
        """Return the mappings in the list under a key."""
        found = self.get(key)
        return [item for item in found if isinstance(item, type(self))] if isinstance(found, list) else []

    def empty(self) -> Self:
        """Return an empty mapping at this line."""
        empty = type(self)()
        empty.file, empty.line, empty.lines, empty.again = self.file, self.line, {}, []
        return empty


class Array(list[Any]):
    """A list; ``lines`` holds where each item stands."""

    lines: list[int]


def number(text: str) -> int | float | None:
    """Read a plain scalar as a number, as go-yaml does: octal by a leading 0, underscores anywhere but in front."""
    if text[:1] not in set("+-.0123456789"):
        return None
    plain = text.replace("_", "")
    if (match := WHOLE.fullmatch(plain)) and len(plain) < 70:
        digits = match[2].lower()
        base = BASES.get(digits[:2]) or (8 if digits[0] == "0" and len(digits) > 1 else 10)
        value = int(match[1] + (digits[2:] if digits[:2] in BASES else digits), base)
        if -(1 << 63) <= value < 1 << 64:
            return value
    if FLOAT.fullmatch(plain) and math.isfinite(found := float(plain)):
        return int(found) if found.is_integer() and abs(found) < 1 << 63 else found
    return None


def text_of(value: bool | float) -> str:
    """Write a number or a boolean as Argo does where it wants a text: without an exponent, without needless zeros."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value == 0 and isinstance(value, int):
        return "0"
    written = format(Decimal(repr(float(value))), "f")  # JSON's numbers are 64-bit floats to Argo
    return written.rstrip("0").rstrip(".") if "." in written else written


class _Reader:
    """Turns the nodes of one document into values."""

    def __init__(self, file: str) -> None:
        self.file, self.count = file, 0
        self.inside: set[int] = set()

    def wrong(self, node: yaml.Node, problem: str, advice: str) -> UnreadableError:
        return UnreadableError(self.file, node.start_mark.line + 1, problem, advice)

    def value(self, node: yaml.Node) -> Any:
        self.count += 1
        if id(node) in self.inside:
            raise self.wrong(node, "an anchor's value contains itself", "write it out")
        if self.count > MOST:
            raise self.wrong(node, f"the document has more than {MOST} values", "write fewer aliases of aliases")
        if len(self.inside) >= DEEPEST:
            raise self.wrong(node, f"more than {DEEPEST} levels lie in one another here", "nest less")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        self.inside.add(id(node))
        try:
            return self.mapping(node) if isinstance(node, yaml.MappingNode) else self.sequence(node)
        finally:
            self.inside.remove(id(node))

    def sequence(self, node: yaml.Node) -> Array:
        array = Array(self.value(item) for item in node.value)
        array.lines = [item.start_mark.line + 1 for item in node.value]
        return array

    def mapping(self, node: yaml.Node) -> Object:
        mapping = Object()
        mapping.file, mapping.line, mapping.lines, mapping.again = self.file, node.start_mark.line + 1, {}, []
        own: set[str] = set()
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == PLAIN and key_node.value == "<<":
                self.merge(mapping, value_node)
                continue
            key = self.key(key_node)
            if key in own:
                mapping.again.append((key, line))
            own.add(key)
            mapping[key] = self.value(value_node)
            mapping.lines[key] = line
        return mapping

    def merge(self, mapping: Object, node: yaml.Node) -> None:
        """Add what ``<<`` names; as in go-yaml a key that stands before it gives way, one after it does not."""
        for source in reversed(node.value) if isinstance(node, yaml.SequenceNode) else [node]:
            found = self.value(source)
            if not isinstance(found, Object):
                raise self.wrong(source, "'<<' merges what is not a mapping", "name a mapping, or a list of them")
            mapping.update(found)
            mapping.lines.update(found.lines)

    def key(self, node: yaml.Node) -> str:
        key = self.scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if key is None:
            raise self.wrong(node, "a key is not a text", "quote it")
        return key if isinstance(key, str) else text_of(key)

    def scalar(self, node: yaml.Node) -> Any:
        text = str(node.value)
        if node.tag == "tag:yaml.org,2002:binary":
            try:
                return base64.b64decode(text, validate=False).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise self.wrong(node, "what is tagged !!binary is not text in base64", "write the text") from error
        if node.tag not in RESOLVED:
            return text
        if text in NULL:
            return None
        if text in TRUE or text in FALSE:
            return text in TRUE
        if NO_JSON.fullmatch(text):
            raise self.wrong(node, f"{text} is not a number that JSON has, and Argo reads none other", "quote it")
        found = number(text)
        return text if found is None else found


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes nodes and resolves none: a plain scalar has the tag ``PLAIN``."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        return PLAIN if kind is yaml.ScalarNode and implicit[0] else super().resolve(kind, value, implicit)


def documents(text: str, file: str) -> Iterator[Object]:
    """Read the documents of a YAML text one by one; what is not a mapping (an empty document) is left out.

    Raises:
        UnreadableError: the text is not YAML from here on.
    """
    try:
        loader = _Loader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                value = _Reader(file).value(node) if node is not None else None
                if isinstance(value, Object):
                    yield value
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        raise UnreadableError(file, line, f"this is not YAML ({problem})", "mend it at that line") from error


def parse(text: str, file: str) -> list[Object]:
    """Read all documents of a YAML text.

    Raises:
        UnreadableError: the text is not YAML.
    """
    return list(documents(text, file))


def files_below(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the YAML files that are named, and all below the directories that are.

    Raises:
        UsageError: a path is not there, or a directory holds no YAML.
    """
    for path in paths:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
            if not files:
                raise UsageError(f"directory {str(path)!r} has no .yaml file below it; name the one with the templates")
            yield from files
        elif path.is_file():
            yield path
        else:
            raise UsageError(f"{str(path)!r} is not there; name a YAML file or a directory of them")


def documents_of(file: Path) -> Iterator[Object]:
    """Read the documents of one file.

    Raises:
        UnreadableError: the file cannot be read, or is not YAML from here on.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(str(file), 1, f"this cannot be read ({error})", "make it readable UTF-8 text") from error
    yield from documents(text, str(file))


def read(paths: Iterable[Path]) -> list[Object]:
    """Read the documents of YAML files and of all YAML files below directories.

    Raises:
        UsageError: a path is not there, or a directory holds no YAML.
        UnreadableError: a file is not YAML.
    """
    return [document for file in files_below(paths) for document in documents_of(file)]
