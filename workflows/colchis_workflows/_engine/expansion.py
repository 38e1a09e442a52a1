"""What the kubelet makes of ``$(NAME)`` in a container's command, args and environment. Pure.

https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
"""

import re
from collections.abc import Iterable, Mapping

REFERENCE = re.compile(r"\$(?:(\$)|\(([^)]*)\)|(.))", re.DOTALL)


def expanded(text: str, known: Mapping[str, str]) -> str:
    """Return the text with ``$(NAME)`` replaced where the name is known, and ``$$`` by ``$``; all else stays."""

    def one(match: re.Match[str]) -> str:
        dollar, name, other = match.groups()
        return "$" if dollar else f"${other}" if name is None else known.get(name, match[0])

    return REFERENCE.sub(one, text)


def environment(declared: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return a container's variables, each expanded by those before it."""
    found: dict[str, str] = {}
    for name, value in declared:
        found[name] = expanded(value, found)
    return found
