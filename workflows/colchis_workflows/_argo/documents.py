"""YAML documents whose parts know their file and line, so that a finding can point at them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import yaml

from colchis_workflows._argo.errors import InputError, UsageError

SUFFIXES = {".yaml", ".yml"}
ANY_STRINGS = {"value", "default", "enum"}


class Object(dict[str, Any]):
    """A mapping; ``lines`` holds where each key stands."""

    file: str = ""
    line: int = 0
    lines: dict[str, int]

    def at(self, key: str) -> int:
        """Give the line of a key, or of the mapping where the key is not there."""
        return self.lines.get(key, self.line)

    def part(self, key: str) -> Self:
        """Give the mapping under a key; an empty one at this line where there is none."""
        found = self.get(key)
        return found if isinstance(found, type(self)) else self._empty()

    def parts(self, key: str) -> list[Self]:
        """Give the mappings in the list under a key."""
        found = self.get(key)
        return [item for item in found if isinstance(item, type(self))] if isinstance(found, list) else []

    def _empty(self) -> Self:
        empty = type(self)()
        empty.file, empty.line, empty.lines = self.file, self.line, {}
        return empty


class Array(list[Any]):
    """A list; ``lines`` holds where each item stands."""

    lines: list[int]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Kubernetes reads it: what looks like a date stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _value(loader: _Loader, node: yaml.Node, file: str) -> Any:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        mapping = Object()
        mapping.file, mapping.line, mapping.lines = file, line, {}
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node))
            value = _value(loader, value_node, file)
            mapping[key] = _any_string(value) if key in ANY_STRINGS else value
            mapping.lines[key] = key_node.start_mark.line + 1
        return mapping
    if isinstance(node, yaml.SequenceNode):
        array = Array(_value(loader, item, file) for item in node.value)
        array.lines = [item.start_mark.line + 1 for item in node.value]
        return array
    return loader.construct_object(node)


def _any_string(value: Any) -> Any:
    """Give a parameter's value as Argo does: a number or a boolean is its text."""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Array):
        value[:] = map(_any_string, value)
    return value


def parse(text: str, file: str) -> list[Object]:
    """Read the documents of a YAML text; what is no mapping (an empty document) is left out.

    Raises:
        InputError: the text is no YAML.
    """
    loader = _Loader(text)
    found: list[Object] = []
    try:
        while loader.check_node():
            node = loader.get_node()
            value = _value(loader, node, file) if node is not None else None
            if isinstance(value, Object):
                found.append(value)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise InputError(f"{file}:{line}: this is not YAML ({problem}); mend it at that line") from error
    finally:
        loader.dispose()
    return found


def read(paths: Iterable[Path]) -> list[Object]:
    """Read the documents of YAML files and of all YAML files below directories.

    Raises:
        UsageError: a path is not there, or a directory holds no YAML.
        InputError: a file is no YAML.
    """
    found: list[Object] = []
    for path in paths:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
            if not files:
                raise UsageError(
                    f"directory {str(path)!r} has no .yaml file below it; name the one that holds templates"
                )
        elif path.is_file():
            files = [path]
        else:
            raise UsageError(f"{str(path)!r} is not there; name a YAML file or a directory of them")
        for file in files:
            try:
                text = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{file}: this cannot be read ({error}); make it readable UTF-8 text") from error
            found.extend(parse(text, str(file)))
    return found
