"""Logins as docker and podman keep them, for a repository: the longest path that a file knows comes first.

Reads   the files that $REGISTRY_AUTH_FILE and $DOCKER_CONFIG (its config.json) name, in this order; where neither is
        set, ~/.docker/config.json, $XDG_RUNTIME_DIR/containers/auth.json and $XDG_CONFIG_HOME/containers/auth.json

https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md describes what is in them.
"""

import base64
import json
import logging
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from colchis_steps._oci.challenge import basic
from colchis_steps._step.errors import InputError

log = logging.getLogger("colchis")
T = TypeVar("T")
DOCKER_HUB = "https://index.docker.io/v1/"  # as docker login writes it
HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
NOT_FOUND = "credentials not found"  # docker-credential-helpers' words for "I have none"
KINDS = ("auths", "credHelpers")  # what a file keeps by a repository's name
PATIENCE = 30  # seconds for a credential helper


@dataclass(frozen=True, repr=False)  # without repr, no log line can hold the password
class Credentials:
    """A name with a password, or an identity token, which the token server changes for others."""

    username: str
    password: str
    identity_token: str = ""

    @property
    def named(self) -> bool:
        """Whether there is more than an identity token."""
        return bool(self.username or self.password)

    def basic(self) -> str:
        """Return the value of a basic Authorization header."""
        return basic(self.username, self.password)


@dataclass(frozen=True)
class Login:
    """What is known of a repository's login; ``source`` says where it comes from, or why there is none."""

    credentials: Credentials | None
    source: str


def login_files() -> list[Path]:
    """Return the files in which a login is looked for; they need not be there."""
    named = [Path(name) for name in [os.environ.get("REGISTRY_AUTH_FILE")] if name]
    named += [Path(name) / "config.json" for name in [os.environ.get("DOCKER_CONFIG")] if name]
    if named:
        return named
    configured = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    rooms = [Path(name) for name in [os.environ.get("XDG_RUNTIME_DIR")] if name] + [configured]
    return [Path.home() / ".docker" / "config.json", *(room / "containers" / "auth.json" for room in rooms)]


def find_login(host: str, path: str) -> Login:
    """Return the login for the repository ``path`` at ``host``, of the first file that has one.

    A helper that fails is not the end: a registry may take who has no login. Its reason is kept for when it does not.

    Raises:
        InputError: a file cannot be read or is not a login file.
    """
    files, reasons = login_files(), list[str]()
    for file, config in _configs(host):
        try:
            credentials = _find(config, host, path, reasons)
        except (ValueError, AttributeError, TypeError) as error:  # base64's error is a ValueError
            raise _odd(file, host) from error
        if credentials:
            return Login(credentials, f"the credentials in {file}")
    for reason in reasons:
        log.warning("%s", reason)
    none = f"{' and '.join(map(str, files))} {'has' if len(files) == 1 else 'have'} none"
    return Login(None, f"no credentials ({'; '.join(reasons) or none})")


def logins_below(host: str, path: str) -> list[str]:
    """Return what follows ``host/path/`` in the names of the repositories that have a login of their own.

    Raises:
        InputError: a file cannot be read or is not a login file.
    """
    start = f"{host}/{path}/" if path else f"{host}/"
    configs = [config for _, config in _configs(host)]
    names = {name for config in configs for kind in KINDS for name in config.get(kind) or {}}
    return sorted(name.removeprefix(start).rstrip("/") for name in names if name.startswith(start) and name != start)


def _configs(host: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield each login file that is there and what is in it."""
    for file in login_files():
        try:
            config = json.loads(file.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise InputError(f"{file} cannot be read ({error.strerror}); correct it, or set DOCKER_CONFIG") from error
        except ValueError as error:
            raise _odd(file, host) from error
        if not isinstance(config, dict) or not all(isinstance(config.get(kind) or {}, dict) for kind in KINDS):
            raise _odd(file, host)
        yield file, config


def _odd(file: Path, host: str) -> InputError:
    return InputError(f"{file} is not a Docker config file for {host}; log in again with docker login")


def _find(config: Mapping[str, Any], host: str, path: str, reasons: list[str]) -> Credentials | None:
    auths: Mapping[str, Mapping[str, str]] = config.get("auths") or {}
    helpers: Mapping[str, str] = config.get("credHelpers") or {}
    store: str = config.get("credsStore") or ""
    asked = False
    for place in _places(host, path):
        if (helper := _entry(helpers, place)) and (found := _ask(helper[1], helper[0], reasons)):
            return found
        if entry := _entry(auths, place):
            if found := _read(entry[1]):
                return found
            if store:
                asked = True
                if found := _ask(store, entry[0], reasons):
                    return found
    if store and not asked:
        return _ask(store, DOCKER_HUB if host in HUB else host, reasons)
    return None


def _places(host: str, path: str) -> list[str]:
    """Return ``host/team/digits``, ``host/team``, ``host``."""
    parts = [host, *path.split("/")]
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _entry(entries: Mapping[str, T], place: str) -> tuple[str, T] | None:
    """Return the entry for this place and its key, which may be the place itself or, for a host, a URL."""
    if place in entries:
        return place, entries[place]
    hosts = HUB if place in HUB else {place}
    for key, entry in entries.items():
        scheme, separator, rest = key.partition("://")
        name = rest.partition("/")[0] if separator and scheme in {"http", "https"} else key.rstrip("/")
        if name in hosts:
            return key, entry
    return None


def _read(entry: Mapping[str, str] | None) -> Credentials | None:
    entry = entry or {}
    username, password = entry.get("username") or "", entry.get("password") or ""
    if coded := "".join((entry.get("auth") or "").split()):  # base64 programs break lines
        username, separator, password = base64.b64decode(coded, validate=True).decode().partition(":")
        if not separator:
            raise ValueError("no colon between name and password")
    token = entry.get("identitytoken") or ""
    return Credentials(username, password.strip("\0"), token) if username or password or token else None


def _ask(helper: str, place: str, reasons: list[str]) -> Credentials | None:
    """Ask a credential helper, by docker's protocol; what it says when it fails is added to the reasons."""
    program = f"docker-credential-{helper}"
    try:
        answer = subprocess.run(
            [program, "get"], input=place.encode(), capture_output=True, timeout=PATIENCE, check=False
        )
    except OSError as error:
        reasons.append(f"{program} cannot be run: {error.strerror}")
        return None
    except subprocess.TimeoutExpired:
        reasons.append(f"{program} does not answer in {PATIENCE} s")
        return None
    if answer.returncode != 0:
        said = (answer.stdout.strip() or answer.stderr.strip()).decode(errors="replace")
        if NOT_FOUND not in said:
            reasons.append(
                f"{program} says: {' '.join(said.split())[:256] or f'nothing, and ends {answer.returncode}'}"
            )
        return None
    try:
        found: dict[str, str] = json.loads(answer.stdout)
        username, secret = found["Username"], found["Secret"]
    except (ValueError, KeyError, TypeError):
        reasons.append(f"{program} answers without a name and a secret")
        return None
    if username == "<token>":
        return Credentials("", "", secret)
    return Credentials(username, secret) if username or secret else None
