"""Requests to a model server: JSON there and back, and sentences for what can go wrong on the way."""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from colchis_steps._step.errors import InputError, TransientError

LOCAL = {"127.0.0.1", "::1", "localhost"}
MOUNTED = Path("/var/run/colchis/token/token")  # where a rollout's pod has the token of Secret colchis-token


class Away(TransientError):  # noqa: N818 - callers that wait for the server handle it
    """Nothing answers at the address."""


def call(
    url: str, body: Any = None, timeout: float = 30.0, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """GET, or POST ``body`` as JSON; return status and the JSON that came back (None where it is not JSON).

    Raises:
        InputError: the URL is not http or https.
        Away: nothing answers.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(
            f"{url[:128]!r} is not an address of a model; give one like http://127.0.0.1:8501/v1/models/digits"
        )
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **authorization(), **(headers or {})}
    request = urllib.request.Request(url, data, sent)  # noqa: S310 - http(s), see above
    proxies = urllib.request.ProxyHandler({} if parts.hostname in LOCAL else None)
    try:
        with urllib.request.build_opener(proxies).open(request, timeout=timeout) as answer:
            return answer.status, _json(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _json(error.read())
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Away(
            f"nothing answers at {parts.scheme}://{parts.netloc} ({reason}); see that the server runs"
        ) from error


def authorization() -> dict[str, str]:
    """Return the header with the token of $COLCHIS_TOKEN_FILE or of a pod's own file, for servers that want one.

    Raises:
        InputError: the file that is named cannot be read, or the pod's own.
    """
    named = os.environ.get("COLCHIS_TOKEN_FILE")
    path = Path(named) if named else MOUNTED
    try:
        return {"Authorization": f"Bearer {path.read_text().strip()}"}
    except FileNotFoundError as error:
        if not named:
            return {}
        raise InputError(f"there is no file {path}, which COLCHIS_TOKEN_FILE names; name one with a token") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the token in {path} cannot be read; see COLCHIS_TOKEN_FILE") from error


def text(url: str, timeout: float = 10.0) -> str:
    """GET a text, such as metrics.

    Raises:
        Away: nothing answers, or something else than 200.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise InputError(f"{url[:128]!r} is not an address of a server; give one like http://127.0.0.1:8501")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=timeout) as answer:
            return str(answer.read().decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        raise Away(f"nothing answers at {url} ({error}); see that the server runs") from error


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
