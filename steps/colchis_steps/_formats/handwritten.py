"""YAML that people write, read so that nothing in it goes unheard and no small file becomes a large one."""

from typing import Any

import yaml

from colchis_steps._step.errors import InputError


def read_yaml(content: bytes, source: str) -> Any:
    """Read YAML, or JSON, which is YAML; ``source`` is what sentences call it.

    Raises:
        InputError: it is not YAML, names something twice, or has an alias.
    """
    try:
        return yaml.load(content, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{source} is not YAML ({' '.join(str(error).split())[:256]}); correct it") from error


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("it has an alias (*name); write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        names = [key.value for key, _ in node.value]
        if twice := sorted({str(name) for name in names if names.count(name) > 1}):
            raise yaml.YAMLError(f"it names {', '.join(twice)[:128]} twice")
        return super().construct_mapping(node, deep)
