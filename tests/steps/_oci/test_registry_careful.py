"""A login goes to the registry and to a realm that may have it, and nowhere else; answers are read to a bound."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path

import pytest
from tests.steps._oci.registry_server import Reply, Request, Server, running, tls_context
from tests.steps._oci.test_registry_tolerance import BASIC, CONTENT, TOKEN, bearer, home, locks, log_in, push, tokens

from colchis_steps._oci.repository import open_repository
from colchis_steps._step.errors import InputError, StepError

__all__ = ["home"]  # a fixture that is used here too
SECRETS = {"geheim", TOKEN, BASIC, "identity"}


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Server]]:
    """Registries and other places, over http and over TLS."""
    tls, made = tls_context(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    with ExitStack() as stack:
        yield {
            "http": stack.enter_context(running()),
            "https": stack.enter_context(running(tls)),
            "other http": stack.enter_context(running()),
            "other https": stack.enter_context(running(tls)),
        }


def leaked(server: Server) -> bool:
    """Report whether a login, a token or the name behind it has reached this server."""
    return any(request.login or b"identity" in request.body for request in server.seen)


@pytest.mark.parametrize("other", ["other http", "other https"])
@pytest.mark.parametrize("own", ["http", "https"])
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("challenge", ["basic", "bearer"])
def test_a_login_is_left_behind_by_a_redirect_for_good(
    servers: dict[str, Server], tmp_path: Path, own: str, other: str, challenge: str, *, back: bool
) -> None:
    """``back``: the other place leads on to the registry, to ask there for what its own words name."""
    registry, elsewhere = servers[own], servers[other]
    log_in(registry, tmp_path)
    if challenge == "basic":
        locked = locks(BASIC, "Basic")
        # who is asked there for a login does not give it, nor fetches a token where that place says
        elsewhere.before.append(locks("", "Basic", f'Bearer realm="{elsewhere.url}/token"'))
    else:
        locked = locks(f"Bearer {TOKEN}", bearer(registry))
    digest = f"sha256:{'4' * 64}"
    elsewhere.before.append(
        lambda request: Reply(302, (("Location", f"{registry.url}/private"),)) if back else Reply(404)
    )

    def leave(request: Request) -> Reply | None:
        found = request.method in {"GET", "HEAD"} and "/blobs/" in request.path and request.login
        return Reply(307, (("Location", f"{elsewhere.url}/away"),)) if found else None

    registry.before += [tokens, leave, locked]
    repository = open_repository(f"{registry.url}/team/digits")
    with pytest.raises(InputError):
        b"".join(repository.blob(digest))
    assert [request for request in elsewhere.seen if request.path == "/away"]
    assert not leaked(elsewhere)
    assert not [request for request in registry.seen if request.path == "/private" and request.login]


@pytest.mark.parametrize("kind", ["PING", "GET", "HEAD", "POST", "PATCH"])
def test_a_challenge_of_another_place_is_not_answered(servers: dict[str, Server], tmp_path: Path, kind: str) -> None:
    registry, elsewhere = servers["https"], servers["other https"]
    log_in(registry, tmp_path)

    def leave(request: Request) -> Reply | None:
        return Reply(307, (("Location", f"{elsewhere.url}{request.url}"),)) if request.kind == kind else None

    registry.before += [leave, locks(BASIC, "Basic")]
    elsewhere.before.append(locks("nobody", bearer(elsewhere), "Basic"))
    # the registry itself asks later, and HEAD has another way
    with nullcontext() if kind in {"PING", "HEAD"} else pytest.raises(InputError):
        push(registry.url)
    assert elsewhere.seen
    assert not leaked(elsewhere)
    assert not [request for request in elsewhere.seen if request.path == "/token"]


@pytest.mark.parametrize("identity", [False, True])
@pytest.mark.parametrize(
    ("own", "realm", "fine"),
    [
        ("https", "https", True),
        ("https", "other https", True),
        ("https", "other http", False),
        ("http", "other https", True),
        ("http", "other http", True),  # both on this machine
        ("http", "away", False),
        ("https", "away", False),
    ],
)
def test_a_login_goes_to_a_realm_by_tls_or_on_the_registrys_own_host(
    servers: dict[str, Server], tmp_path: Path, own: str, realm: str, *, fine: bool, identity: bool
) -> None:
    registry = servers[own]
    log_in(registry, tmp_path, {"identitytoken": "identity"} if identity else None)
    place = servers[realm] if realm in servers else Server(url="http://tokens.invalid")
    place.before.append(tokens)
    registry.before.append(locks(f"Bearer {TOKEN}", bearer(place)))
    if fine:
        push(registry.url)
        return
    with pytest.raises(InputError, match="for a token, without TLS"):
        push(registry.url)
    assert not leaked(place)


@pytest.mark.parametrize(
    "realm", ["", "/token", "token", "ftp://h/token", "file:///etc/passwd", "http://[", "https://"]
)
def test_a_realm_that_is_not_a_place_is_refused(servers: dict[str, Server], tmp_path: Path, realm: str) -> None:
    registry = servers["https"]
    log_in(registry, tmp_path)
    registry.before.append(locks(f"Bearer {TOKEN}", f'Bearer realm="{realm}"'))
    with pytest.raises(InputError):
        push(registry.url)


@pytest.mark.parametrize("identity", [False, True])
@pytest.mark.parametrize("to", ["other http", "other https"])
def test_a_token_server_that_redirects_takes_no_login_elsewhere(
    servers: dict[str, Server], tmp_path: Path, to: str, *, identity: bool
) -> None:
    registry, elsewhere = servers["https"], servers[to]
    log_in(registry, tmp_path, {"identitytoken": "identity"} if identity else None)

    def moved(request: Request) -> Reply | None:
        return Reply(307, (("Location", f"{elsewhere.url}/token"),)) if request.path == "/token" else None

    registry.before += [moved, locks(f"Bearer {TOKEN}", bearer(registry))]
    elsewhere.before.append(tokens)
    with pytest.raises(InputError):
        push(registry.url)
    assert not leaked(elsewhere)


@pytest.mark.parametrize("kind", ["POST", "PATCH"])
def test_bytes_do_not_leave_tls(servers: dict[str, Server], kind: str) -> None:
    registry, elsewhere = servers["https"], servers["other http"]

    def moved(request: Request) -> Reply | None:
        return Reply(307, (("Location", f"{elsewhere.url}/x"),)) if request.kind == kind else None

    registry.before.append(moved)
    with pytest.raises(InputError, match="without TLS"):
        push(registry.url)
    registry.before.clear()
    registry.after.append(
        lambda request, answer: answer.header("Location", f"{elsewhere.url}/x") if request.kind == kind else answer
    )
    with pytest.raises(InputError, match="without TLS"):
        push(registry.url)
    assert elsewhere.seen == []


def test_an_upload_elsewhere_goes_without_the_login(servers: dict[str, Server], tmp_path: Path) -> None:
    registry, elsewhere = servers["https"], servers["other https"]
    log_in(registry, tmp_path)
    registry.before.append(locks(BASIC, "Basic"))
    elsewhere.blobs, elsewhere.uploads = registry.blobs, registry.uploads
    registry.after.append(
        lambda request, answer: (
            answer.header("Location", elsewhere.url + dict(answer.headers)["Location"])
            if request.kind == "POST"
            else answer
        )
    )
    push(registry.url)
    assert {"PATCH", "PUT"} <= {request.method for request in elsewhere.seen}
    assert not leaked(elsewhere)


def test_no_secret_is_in_what_is_said(
    servers: dict[str, Server], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registry = servers["http"]
    log_in(registry, tmp_path)
    registry.before += [tokens, locks("nothing", bearer(registry))]
    with caplog.at_level("DEBUG"), pytest.raises(InputError) as caught:
        push(registry.url)
    said = f"{caught.value}\n{caplog.text}\n{open_repository(f'{registry.url}/a').__dict__}"
    assert not {secret for secret in SECRETS if secret in said}


MIB = 1 << 20


@pytest.fixture
def memory() -> Iterator[None]:
    """Hold that what is read in between is not kept: at most 16 MiB at a time."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MIB


BOMB = gzip.compress(bytes(64 * MIB), 1)  # some hundred KiB


@pytest.mark.parametrize("kind", ["PING", "POST", "PATCH", "MANIFEST", "GET", "token"])
@pytest.mark.parametrize("status", [200, 401, 404, 503])
def test_an_answer_is_read_to_a_bound(
    servers: dict[str, Server], tmp_path: Path, kind: str, status: int, memory: None
) -> None:
    registry = servers["http"]
    log_in(registry, tmp_path)

    def bomb(request: Request) -> Reply | None:
        found = request.path == "/token" if kind == "token" else request.kind == kind and request.path != "/token"
        return Reply(status, (("Content-Encoding", "gzip"),), BOMB) if found else None

    registry.before += [bomb, tokens, locks(f"Bearer {TOKEN}", bearer(registry))]
    with suppress(StepError, AssertionError):  # what comes of it is not asked here
        push(registry.url)


def test_a_manifest_has_a_bound_and_one_below_it_is_whole(servers: dict[str, Server]) -> None:
    registry = servers["https"]
    repository = open_repository(f"{registry.url}/team/digits")
    for size in (4 * MIB, 4 * MIB + 1):
        content = json.dumps("x" * (size - 2)).encode()
        registry.manifests["1"] = ("application/vnd.oci.image.manifest.v1+json", content)
        if size <= 4 * MIB:
            assert repository.manifest("1") == content
        else:
            with pytest.raises(InputError, match="more than 4194304 bytes"):
                repository.manifest("1")
    assert repository.put(lambda: [CONTENT], len(CONTENT))  # the connection is still good


def test_what_an_error_says_is_cut(servers: dict[str, Server]) -> None:
    registry = servers["http"]
    long = json.dumps({"errors": [{"code": "X", "message": "y" * 10_000}]}).encode()
    registry.before.append(lambda request: Reply(418, (), long) if request.kind == "POST" else None)
    with pytest.raises(InputError, match="X yyy") as caught:
        push(registry.url)
    assert len(str(caught.value)) < 500
