"""Who may ask: names that the server is called by, pages of other origins, and bearer tokens by model.

A page of any site can make a browser ask a server on this machine: under its own name, which it has made to mean
127.0.0.1 (DNS rebinding), or across origins. Neither is answered, unless it is allowed.
"""

import hashlib
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta

from colchis_steps._serving.server.refusals import Refused
from colchis_steps._step.errors import InputError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
ASKED = frozenset({b"host", b"origin", b"authorization"})  # the headers that are looked at
ALL = "*"  # stands for each model, in the file of tokens
OPEN = ("/v2/health/", "/metrics")  # what probes and Prometheus ask
MODEL = re.compile(r"/(?:v1/models|v2/models|board)/([^/:]+)")
Token = Annotated[str, Meta(min_length=16, max_length=4096)]
log = logging.getLogger("colchis")


class Tokens:
    """Bearer tokens by model, from a file that may change: ``{"digits": ["…"], "*": ["…"]}``."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises InputError where it cannot be read or is no such JSON."""
        self._path = path
        self._seen = self._look()
        self._hashes = self._read()

    def check(self, authorization: str, model: str) -> None:
        """Raise Refused, 401 without a known token, 403 with one of other models."""
        self._follow()
        scheme, _, token = authorization.partition(" ")
        given = hashlib.sha256(token.strip().encode("utf-8", "replace")).digest() if scheme.lower() == "bearer" else b""
        if given in self._hashes.get(model, set()) | self._hashes.get(ALL, set()):
            return
        if any(given in known for known in self._hashes.values()):
            raise Refused(403, f"the token is not for {f'model {model[:64]!r}' if model else 'this page'}; use another")
        raise Refused(401, "this server wants a token; send it as Authorization: Bearer TOKEN")

    def _follow(self) -> None:
        if (now := self._look()) == self._seen:
            return
        self._seen = now
        try:
            self._hashes = self._read()
        except InputError as error:
            log.error("%s; the tokens stay as they were", error)  # noqa: TRY400 - the sentence says it

    def _look(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino

    def _read(self) -> dict[str, set[bytes]]:
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[Token]])
        except OSError as error:
            raise InputError(f"the tokens in {self._path} cannot be read ({error.strerror}); give a file") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            example = '{"digits": ["…"], "*": ["…"]}, of 16 characters or more'
            raise InputError(f"the tokens in {self._path} are wrong ({str(error)[:128]}); write {example}") from error
        return {model: {hashlib.sha256(token.encode()).digest() for token in its} for model, its in found.items()}


@dataclass(frozen=True)
class Access:
    """What is asked of requests: ``hosts`` are names without a port (none: any), ``origins`` those of other pages."""

    hosts: Collection[str] = ()
    origins: Collection[str] = ()
    tokens: Tokens | None = None

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Raise Refused: 421 for another server's name, 403 for a page of another origin, 401 or 403 by the token."""
        host, origin = headers.get("host", ""), headers.get("origin", "")
        if self.hosts and host and name_of(host) not in self.hosts:
            raise Refused(421, f"this server is not {host[:64]!r}; ask it by its own name, or allow that: --allow-host")
        if origin and origin not in self.origins and address_of(origin) != host.lower():
            raise Refused(403, f"pages of {origin[:64]!r} may not ask this server; allow them with --allow-origin")
        if self.tokens and method != "OPTIONS" and not path.startswith(OPEN) and path != "/v2":
            found = MODEL.match(path)
            self.tokens.check(headers.get("authorization", ""), unquote(found[1]) if found else "")

    def told(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that let a page of an allowed origin read the answer."""
        origin = headers.get("origin", "")
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"} if origin in self.origins else {}


PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding, Inference-Header-Content-Length",
    "Access-Control-Max-Age": "600",
}


def name_of(host: str) -> str:
    """Return a Host header's name, without the port."""
    return re.sub(r":\d*$", "", host).lower()


def address_of(origin: str) -> str:
    """Return the host and port of an origin; nothing where it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
