"""A request to copy into a terminal."""

import json
from typing import Any


def curl_line(url: str, instance: Any) -> str:
    """Return the line to paste: one prediction asked with nothing but curl."""
    body = json.dumps({"instances": [instance]}, separators=(",", ":")).replace("'", "\\u0027")
    return f"curl -s {url}:predict -d '{body}'"
