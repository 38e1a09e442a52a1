"""What a submitter sets: ``NAME=VALUE`` pairs, checked against a template's arguments before anything runs."""

from collections.abc import Mapping, Sequence

from colchis_workflows._argo.catalog import name_of, nearest, spec_of
from colchis_workflows._argo.documents import Object
from colchis_workflows._argo.errors import UsageError


def pairs(words: Sequence[str]) -> dict[str, str]:
    """Read what ``--set`` was given; the last one of a name holds.

    Raises:
        UsageError: one has no ``=``.
    """
    given = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--set {word!r} has no '='; write --set NAME=VALUE")
        given[name] = value
    return given


def settle(document: Object, given: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    """Return each argument's value: what is given, else what is in ``defaults``, else the template's.

    Raises:
        UsageError: a name is unknown, a value is none of the allowed ones, or one is missing.
    """
    parameters = {str(p["name"]): p for p in spec_of(document).part("arguments").parts("parameters")}
    if unknown := sorted(given.keys() - parameters.keys()):
        raise UsageError(f"{name_of(document)} has no argument {unknown[0]!r}; {nearest(unknown[0], parameters)}")
    settled: dict[str, str] = {}
    for name, parameter in parameters.items():
        default = defaults.get(name, parameter.get("value", parameter.get("default")))
        if (value := given.get(name, default)) is None:
            hint = f" ({parameter['description']})" if "description" in parameter else ""
            raise UsageError(f"argument {name!r} has no value; give it with --set {name}=…{hint}")
        allowed = [str(choice) for choice in parameter.get("enum") or []]
        if allowed and str(value) not in allowed:
            raise UsageError(f"argument {name!r} is {str(value)!r}; it must be one of {', '.join(allowed)}")
        settled[name] = str(value)
    return settled
