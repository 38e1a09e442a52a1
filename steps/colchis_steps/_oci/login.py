"""How to sign in to a registry: Docker's config file for names and passwords, basic and bearer for the protocol.

Reads   $DOCKER_CONFIG/config.json, ~/.docker/config.json without it

Bearer tokens: https://distribution.github.io/distribution/spec/auth/token/ and, where the file holds an identity
token, https://distribution.github.io/distribution/spec/auth/oauth/.
"""

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from colchis_steps._step.errors import InputError

if TYPE_CHECKING:
    import urllib3

DOCKER_HUB = "https://index.docker.io/v1/"


@dataclass(frozen=True, repr=False)  # without repr, no log line can hold the password
class Credentials:
    """What Docker's config file knows of a registry."""

    username: str
    password: str
    identity_token: str = ""

    def basic(self) -> str:
        """Give the value of a basic Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def config_file() -> Path:
    """Give the path of Docker's config file; it need not be there."""
    directory = os.environ.get("DOCKER_CONFIG")
    return (Path(directory) if directory else Path.home() / ".docker") / "config.json"


def find_credentials(host: str) -> Credentials | None:
    """Find the registry's credentials, or None: then it is asked without.

    Raises:
        InputError: the file is no Docker config, or the credential helper that it names does not answer.
    """
    path = config_file()
    names = [host, f"https://{host}", f"http://{host}", f"https://{host}/v1/", f"https://{host}/v2/"]
    names += [DOCKER_HUB] if host == "docker.io" else []
    try:
        config: dict[str, Any] = json.loads(path.read_bytes())
        helpers: Mapping[str, str] = config.get("credHelpers") or {}
        auths: Mapping[str, dict[str, str]] = config.get("auths") or {}
        for name in names:
            if helper := helpers.get(name):
                return _ask_helper(helper, name, path)
            if name in auths:
                return _read_entry(auths[name]) or _ask_helper(config["credsStore"], name, path)
        if keeper := config.get("credsStore"):
            return _ask_helper(keeper, names[-1] if host == "docker.io" else host, path)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise InputError(f"{path} may not be read; give this user the right, or set DOCKER_CONFIG") from error
    except (ValueError, KeyError, AttributeError, TypeError, binascii.Error) as error:
        raise InputError(f"{path} is no Docker config file for {host}; log in again with docker login") from error
    return None


def _read_entry(entry: Mapping[str, str]) -> Credentials | None:
    if "auth" in entry:
        username, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        return Credentials(username, password.rstrip("\0"), entry.get("identitytoken", ""))
    if "username" in entry:
        return Credentials(entry["username"], entry.get("password", ""), entry.get("identitytoken", ""))
    return None


def _ask_helper(helper: str, name: str, path: Path) -> Credentials | None:
    program = f"docker-credential-{helper}"
    try:
        answer = subprocess.run([program, "get"], input=name.encode(), capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{path} names {program} for {name}, which does not answer; install or log in anew") from error
    if answer.returncode != 0:  # the helper knows no credentials
        return None
    told = json.loads(answer.stdout)
    if told["Username"] == "<token>":
        return Credentials("", "", told["Secret"])
    return Credentials(told["Username"], told["Secret"])


class SignIn:
    """The Authorization header for one repository of a registry; it changes as the registry asks."""

    def __init__(self, pool: "urllib3.PoolManager", host: str, scope: str, *, secure: bool) -> None:
        self.pool, self.host, self.scope, self.secure = pool, host, scope, secure
        self.credentials = find_credentials(host)
        self.header: dict[str, str] = {}
        self.bearer: dict[str, str] = {}  # what the registry said when it asked for a token; empty until it does
        self.more: list[str] = []  # scopes of repositories that layers are mounted from

    def answer(self, challenge: str) -> None:
        """Take the registry's WWW-Authenticate header and make ready what it asks for.

        Raises:
            InputError: there are no credentials, or the token server refuses them.
        """
        kind, _, rest = challenge.partition(" ")
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if kind.lower() == "basic":
            if self.credentials is None:
                raise self.refused("asks for a user and a password")
            self.header = {"Authorization": self.credentials.basic()}
        elif kind.lower() == "bearer" and "realm" in asked:
            self.bearer = asked
            self.header = {"Authorization": f"Bearer {self._token(asked)}"}
        else:
            raise self.refused("asks for a kind of login that is neither basic nor bearer")

    def read_too(self, path: str) -> None:
        """Let the token, where the registry wants one, be for reading from another of its repositories as well.

        Raises:
            InputError: the token server refuses that; the token that there is stays.
        """
        scope = f"repository:{path}:pull"
        if scope in self.more:
            return
        self.more.append(scope)
        try:
            if self.bearer:  # a registry need not ask for more: without the right it may just not mount
                self.header = {"Authorization": f"Bearer {self._token({**self.bearer, 'scope': ''})}"}
        except InputError:
            self.more.remove(scope)
            raise

    def _token(self, asked: Mapping[str, str]) -> str:
        realm = asked["realm"]
        if self.secure and urlsplit(realm).scheme != "https":
            raise self.refused(f"sends its users to {realm!r} for a token, without TLS")
        scopes = list(dict.fromkeys([*(asked.get("scope") or self.scope).split(), *self.more]))
        service, known = asked.get("service", ""), self.credentials
        if known and known.identity_token:
            fields = {"grant_type": "refresh_token", "client_id": "colchis", "refresh_token": known.identity_token}
            fields |= {"service": service, "scope": " ".join(scopes)}
            reply = self.pool.request("POST", realm, fields=fields, encode_multipart=False, redirect=False)
        else:
            query = urlencode([("service", service), *(("scope", scope) for scope in scopes)])
            url = f"{realm}{'&' if '?' in realm else '?'}{query}"
            headers = {"Authorization": known.basic()} if known else {}
            reply = self.pool.request("GET", url, headers=headers)
        if reply.status in {400, 401, 403, 404}:
            raise self.refused(f"gives no token ({reply.status})")
        try:
            told = json.loads(reply.data) if reply.status == 200 else {}
            return str(told.get("token") or told["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise self.refused(f"answers {reply.status} and no token") from error

    def refused(self, why: str) -> InputError:
        """Make the error that says which registry refuses whom, and what to do."""
        whom = (
            f"the credentials in {config_file()}" if self.credentials else f"no credentials ({config_file()} has none)"
        )
        return InputError(
            f"registry {self.host} {why}, for {self.scope.split(':')[1]} with {whom}; log in with docker login "
            f"{self.host}, or mount the Secret colchis-registry and set DOCKER_CONFIG to its directory"
        )
