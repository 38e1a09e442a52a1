"""What a repository's requests carry as ``Authorization``: nothing, a name and a password, or a token.

The registry is asked at ``/v2/`` which of them it wants, once, before the first request, as Go's clients do: some
answer 403 or 404 to those who do not log in unasked, and some say nowhere else what they want.
Tokens: https://distribution.github.io/distribution/spec/auth/token/ and, for an identity token,
https://distribution.github.io/distribution/spec/auth/oauth/.
"""

import json
import re
import threading
from collections.abc import Mapping
from urllib.parse import urlencode, urljoin

from colchis_steps._oci.challenge import Challenge, choose, parse
from colchis_steps._oci.login import find_login
from colchis_steps._oci.proxies import on_this_machine
from colchis_steps._oci.transport import Answer, Transport, origin
from colchis_steps._step.errors import InputError

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class SignIn:
    """The Authorization header for one repository; it changes as the registry asks. Threads share one."""

    def __init__(self, transport: Transport, host: str, path: str) -> None:
        self.transport, self.host, self.path = transport, host, path
        self.login = find_login(host, path)
        self.lock = threading.RLock()
        self.asked = False  # whether the registry has said at /v2/ what it wants
        self.challenge: Challenge | None = None
        self.headers: dict[str, str] = {}
        self.scopes: list[str] = []  # what the token is for; empty where there is none
        self.more: list[str] = []  # scopes of repositories that layers are mounted from

    def header(self, *, writes: bool) -> dict[str, str]:
        """Return the header for a request that reads or writes.

        Raises:
            InputError: the token server refuses, or is one that no login may go to.
            TransientError: it, or the registry, is away or busy.
        """
        with self.lock:
            if not self.asked:
                self._ask()
            if self.challenge and self.challenge.scheme == "bearer" and not self._covers(writes=writes):
                self._renew(self.challenge, writes=writes)
            return dict(self.headers)

    def answer(self, refusal: Answer, tried: Mapping[str, str], *, writes: bool) -> None:
        """Make ready what the registry asked for when it refused a request with the header ``tried``.

        Raises:
            InputError: it asks for what there is not, or the token server refuses.
            TransientError: that server is away or busy.
        """
        with self.lock:
            if self.headers != tried:  # another thread has signed in meanwhile
                return
            self._take(choose(parse(refusal.headers.getlist("WWW-Authenticate"))) or self.challenge)
            if self.challenge is None:
                raise self.refused(f"refuses {refusal.status} and asks for no login that is basic or bearer")
            if self.challenge.scheme == "bearer":
                self._renew(self.challenge, writes=writes)
            elif not self.headers:
                raise self.refused("asks for a user and a password")

    def read_too(self, path: str) -> None:
        """Let the token, where the registry wants one, be for reading from another of its repositories as well.

        Raises:
            InputError: the token server refuses that; the token that there is stays.
            TransientError: it is away or busy.
        """
        scope = f"repository:{path}:pull"
        with self.lock:
            if scope in self.more:
                return
            self.more.append(scope)
            try:
                if self.challenge and self.challenge.scheme == "bearer":
                    self._renew(self.challenge, writes=True)
            except BaseException:
                self.more.remove(scope)
                raise

    def _ask(self) -> None:
        answer = self.transport.send("GET", urljoin(self.transport.url, "/v2/"), headers={}, login={})
        self.asked = True
        if answer.status == 401 and not answer.left:
            self._take(choose(parse(answer.headers.getlist("WWW-Authenticate"))))

    def _take(self, challenge: Challenge | None) -> None:
        self.challenge = challenge
        if challenge and challenge.scheme == "basic" and self.login.credentials and self.login.credentials.named:
            self.headers = {"Authorization": self.login.credentials.basic()}

    def _covers(self, *, writes: bool) -> bool:
        return self._scope(writes=True) in self.scopes or (bool(self.scopes) and not writes)

    def _scope(self, *, writes: bool) -> str:
        return f"repository:{self.path}:{'pull,push' if writes else 'pull'}"

    def _renew(self, challenge: Challenge, *, writes: bool) -> None:
        writes = writes or self._scope(writes=True) in self.scopes
        # the scope that was asked for comes first: some token servers look at no other
        scopes = [*challenge.parameters.get("scope", "").split(), self._scope(writes=writes), *self.more]
        scopes = list(dict.fromkeys(scopes))
        self.headers = {"Authorization": f"Bearer {self._token(challenge, scopes)}"}
        self.scopes = scopes

    def _token(self, challenge: Challenge, scopes: list[str]) -> str:
        realm, service = challenge.parameters["realm"], challenge.parameters.get("service")
        self._hold_realm(realm)
        known = self.login.credentials
        fields = [] if service is None else [("service", service)]
        answer = None
        if known and known.identity_token:
            form = [*fields, ("grant_type", "refresh_token"), ("refresh_token", known.identity_token)]
            form += [("client_id", "colchis"), ("scope", " ".join(scopes))]
            body = urlencode(form).encode()
            answer = self.transport.send("POST", realm, headers=FORM, login={}, body=body, follow=False)
        if answer is None or (answer.status in {404, 405} and known and known.named):  # it takes no identity tokens
            query = urlencode([*fields, *(("scope", scope) for scope in scopes)])
            login = {"Authorization": known.basic()} if known and known.named else {}
            url = f"{realm}{'&' if '?' in realm else '?'}{query}"
            answer = self.transport.send("GET", url, headers={}, login=login)
        if answer.status in {400, 401, 403, 404}:
            raise self.refused(f"gives no token ({answer.status}{answer.said})")
        try:
            found = json.loads(answer.body) if answer.status == 200 else {}
            token = str(found.get("token") or found["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise self.refused(f"answers {answer.status} and no token") from error
        if not re.fullmatch(r"[!-~]+", token):  # it goes into a header
            raise self.refused("gives a token that is not one")
        return token

    def _hold_realm(self, realm: str) -> None:
        """Raise InputError unless a login may go there: by TLS, or to a registry without TLS on its own host."""
        scheme, host, _ = origin(realm)
        own_scheme, own_host, _ = self.transport.origin
        near = host == own_host or (on_this_machine(host) and on_this_machine(own_host))
        if scheme == "https" or (own_scheme == "http" and (near or not self.login.credentials)):
            return
        raise self.refused(f"sends its users to {realm[:256]!r} for a token, without TLS")

    def refused(self, why: str) -> InputError:
        """Return the error that says which registry refuses whom, and what to do."""
        return InputError(
            f"registry {self.host} {why}, for {self.path} with {self.login.source}; log in with docker login "
            f"{self.host}, or mount the Secret colchis-registry and set DOCKER_CONFIG to its directory"
        )
