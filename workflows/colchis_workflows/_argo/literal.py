"""A parameter in a container's command line or environment such that the process gets it as the submitter wrote it.

Two readers stand between. Argo fills a template in several times, and what a value holds is read again: ``{{= … }}``
in it is an expression of the next time, and may make anything. Then the kubelet expands ``$(NAME)`` in command, args
and environment to what the container's environment has, a key too, and reads ``$$`` as ``$``. So every ``$`` is
doubled, and every ``{`` is written as ``$(OPEN_BRACE)``, which only the kubelet, the last reader, makes a brace again.
"""

import re

BRACE = "OPEN_BRACE"  # the container's environment has it, with the value {
LITERAL = re.compile(
    r"=\s*replace\(replace\(inputs\.parameters\['([\w-]+)'\], '\$', '\$\$'\), '\{', '\$\(" + BRACE + r"\)'\)"
)


def literal(name: str) -> str:
    """Return the tag that stands for the input of this name, as it is."""
    return f"{{{{=replace(replace(inputs.parameters['{name}'], '$', '$$'), '{{', '$({BRACE})')}}}}"


def literal_input(tag: str) -> str:
    """Return the name of the input that a tag, without its braces, stands for as it is; "" where it is another tag."""
    found = LITERAL.fullmatch(tag)
    return found[1] if found else ""
