"""A served model as a client sees it: what it takes, what its answers are called, and its answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from colchis_steps._serving.client import LOCAL, Away, call
from colchis_steps._step.errors import InputError, TransientError

COMPANIONS = ("__valid", "__mask")  # inputs that the server makes of others


@dataclass(frozen=True)
class Asked:
    """An endpoint and what it says of itself: columns with datatype and parameters as V2 has them, classes and task."""

    url: str
    columns: Mapping[str, Mapping[str, Any]]
    classes: Sequence[str] = field(default=())
    task: str = ""


def describe(url: str) -> Asked:
    """Ask an endpoint, ``…/v1/models/<name>`` with or without a version, what it takes.

    Raises:
        InputError: it is no such endpoint, or no server that tells it.
        TransientError: nothing answers.
    """
    try:
        status, found = call(url.replace("/v1/models/", "/v2/models/", 1))
    except Away as error:
        raise away(url) from error
    if status != 200 or not isinstance(found, dict) or "inputs" not in found:
        raise InputError(f"{url} does not tell which columns it takes; give an endpoint of colchis's own server")
    tensors = {tensor["name"]: tensor for tensor in found["inputs"]}
    made = {name + suffix for name in tensors for suffix in COMPANIONS}
    about = found.get("parameters", {})
    columns = {name: tensor for name, tensor in tensors.items() if name not in made}
    return Asked(url, columns, tuple(about.get("classes", ())), str(about.get("task", "")))


def post(url: str, body: Any) -> Any:
    """Return the answer to a prediction request.

    Raises:
        InputError: the server refuses the request, or the model is not there.
        TransientError: nothing answers, or the model is loading.
    """
    try:
        status, found = call(f"{url}:predict", body)
    except Away as error:
        raise away(url) from error
    if status == 200:
        return found
    reason = found.get("error", found) if isinstance(found, dict) else "an answer that is not JSON"
    if status in {429, 503}:
        raise TransientError(f"the server answers {status}: {str(reason)[:512]}")
    raise InputError(f"the server answers {status}: {str(reason)[:512]}")


def away(url: str) -> TransientError:
    """Return what to say where nothing answers."""
    where = urlsplit(url).netloc
    start = "start it with: colchis models start" if where.rpartition(":")[0] in LOCAL else "start it"
    return TransientError(f"no model server answers at {where}; {start}")
