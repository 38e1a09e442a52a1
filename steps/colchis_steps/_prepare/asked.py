"""How data are to be prepared: ``command:…``, or ``template:NAME``, a WorkflowTemplate of the submitter's choice."""

import re

from colchis_steps._step.child import PREFIX
from colchis_steps._step.errors import InputError

TEMPLATE = "template:"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def kind_of(prepare: str) -> str:
    """Return ``command`` or ``template``, or ``false`` where nothing is to be prepared.

    Raises:
        InputError: it is none of these.
    """
    if not prepare:
        return "false"
    if prepare.startswith(PREFIX):
        return "command"
    name = prepare.removeprefix(TEMPLATE)
    if name == prepare:
        raise InputError(
            f"prepare={prepare[:64]!r} says neither command nor template; give 'command:python features.py', or "
            "'template:NAME' of a WorkflowTemplate of your own (docs/own-steps.md)"
        )
    if NAME.fullmatch(name) is None:
        raise InputError(f"prepare={prepare[:96]!r} names no WorkflowTemplate; a-z, 0-9 and - make a name")
    if name == "colchis-pipeline":
        raise InputError(f"prepare={prepare!r} would start the pipeline in itself; name a template of your own")
    return "template"
