"""Requests to a model server: JSON there and back, and sentences for what can go wrong on the way."""

import http.client
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from colchis_steps._step.errors import InputError, TransientError

LOCAL = {"127.0.0.1", "::1", "localhost"}


class Away(TransientError):  # noqa: N818 - callers that wait for the server handle it
    """Nothing answers at the address."""


def call(url: str, body: Any = None, timeout: float = 30.0) -> tuple[int, Any]:
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
    headers = {"Content-Type": "application/json", **authorization()}
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - http(s), see above
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
    """Return the header with the token in the file that $COLCHIS_TOKEN_FILE names, for servers that want one.

    Raises:
        InputError: the file cannot be read.
    """
    if not (path := os.environ.get("COLCHIS_TOKEN_FILE")):
        return {}
    try:
        return {"Authorization": f"Bearer {Path(path).read_text().strip()}"}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the token in COLCHIS_TOKEN_FILE={path} cannot be read; name one that can") from error


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
