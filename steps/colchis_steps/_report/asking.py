"""How to ask the model that a run served: the line to paste, with a row that evaluate knew the answer to."""

import base64
import json
import math
import shlex
from typing import Any

from colchis_steps._formats.models import Golden

LONGEST = 3000  # characters of a line that somebody pastes


def curl(endpoint: str, golden: Golden | None) -> str:
    """Return a request in curl by the first golden row; nothing where there is none that fits into a line."""
    if not endpoint or golden is None or not golden.inputs or not all(golden.inputs.values()):
        return ""
    row = {name: values[0] for name, values in golden.inputs.items()}
    instance = next(iter(row.values())) if len(row) == 1 else row
    try:
        body = json.dumps({"instances": [_plain(instance)]}, separators=(",", ":"))
    except (TypeError, ValueError):
        return ""
    line = f"curl -s {shlex.quote(f'{endpoint}:predict')} -d {shlex.quote(body)}"
    return line if len(line) <= LONGEST else ""


def _plain(value: Any) -> Any:
    """Return a value as V1 of the protocol takes it: whole floats as whole numbers, which are shorter."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
