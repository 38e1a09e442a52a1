"""Documents of logged requests."""

from typing import Any

from colchis_steps._formats.documents import Document, Part


class Logged(Part):
    """One request: inputs and outputs by name, rows first; strings that are not text are left out as null."""

    at: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class RequestLog(Document, tag="colchis.dev/request-log/v1"):
    """Requests that one version answered."""

    model: str
    version: int
    fraction: float
    requests: tuple[Logged, ...]
