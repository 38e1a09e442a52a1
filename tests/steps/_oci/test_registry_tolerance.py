"""What public registries answer beside the letter of the API: a push and ``doctor`` both pass, or both say why not."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from tests.steps._oci.registry_server import After, Before, Reply, Request, Server, content_reply, running, tls_context

from colchis_steps._doctor.places import try_registry
from colchis_steps._oci.image import MANIFEST, Blob
from colchis_steps._oci.repository import open_repository
from colchis_steps._step.errors import InputError, StepError, TransientError

BASIC = "Basic " + base64.b64encode(b"colchis:geheim").decode()
TOKEN = "a-token"
CONTENT = b"some bytes"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
Row = Callable[[Server], None]


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A registry of the test's own, over http and over TLS."""
    tls, made = tls_context(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    with running(tls if request.param == "https" else None) as found:
        yield found


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login of whoever runs the tests, no waiting, no proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr("colchis_steps._oci.registry.WAITS", (0.001, 0.001, 0.001))


def log_in(server: Server, tmp_path: Path, entry: dict[str, str] | None = None) -> None:
    entry = entry or {"username": "colchis", "password": "geheim"}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {server.address: entry}}))


def push(url: str) -> None:
    """Push a blob of each way and a manifest, and read them back."""
    repository = open_repository(f"{url}/team/digits")
    assert repository.tagged("1") is None
    assert repository.put(lambda: [CONTENT[:4], CONTENT[4:]], len(CONTENT)) == DIGEST
    assert repository.has(DIGEST, len(CONTENT))
    config = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    assert repository.put(lambda: [b"{}"], 2, config) == config
    manifest = Blob(MANIFEST, json.dumps({"schemaVersion": 2, "mediaType": MANIFEST}).encode())
    repository.put_manifest(manifest, "1")
    assert repository.tagged("1") == manifest.digest
    assert repository.manifest(manifest.digest) == manifest.content
    assert b"".join(repository.blob(DIGEST)) == CONTENT


def both(server: Server, row: Row) -> str:
    """Let a push and ``doctor`` meet the same rules; hold that they agree, and return the error's sentence, if any."""
    server.clear()
    row(server)
    try:
        push(server.url)
    except StepError as error:
        said, state = str(error), "wrong" if isinstance(error, InputError) else "away"
    else:
        said, state = "", "fine"
    assert server.uploads == {}
    server.clear()
    row(server)
    assert try_registry(f"{server.url}/team", insecure=False).state == state, said
    assert (server.uploads, server.blobs, server.manifests) == ({}, {}, {})  # it leaves nothing
    return said


def before(*rules: Before) -> Row:
    return lambda server: server.before.extend(rules)


def after(*rules: After) -> Row:
    return lambda server: server.after.extend(rules)


def once(status: int, when: Callable[[Request], bool], *headers: tuple[str, str]) -> Before:
    left = [status]
    return lambda request: Reply(left.pop(), headers) if left and when(request) else None


# --- logins


def locks(login: str, *challenges: str, status: int = 401, but: tuple[str, ...] = ()) -> Before:
    """Refuse who has not this login, with these headers; the ``but`` kinds are refused with 403 and no header."""

    def rule(request: Request) -> Reply | None:
        if request.path == "/token" or request.login == login:
            return None
        return Reply(403) if request.kind in but else Reply(status, tuple(("WWW-Authenticate", c) for c in challenges))

    return rule


def tokens(request: Request) -> Reply | None:
    """Sell a token for the login, or for the identity token."""
    if request.path != "/token":
        return None
    fine = request.login == BASIC or b"refresh_token=identity" in request.body
    return Reply(200, (), json.dumps({"token": TOKEN}).encode()) if fine else Reply(401)


def bearer(server: Server) -> str:
    return f'Bearer realm="{server.url}/token",service="registry"'


CHALLENGES: dict[str, Callable[[Server], list[str]]] = {
    "bearer": lambda s: [bearer(s)],
    "bearer, basic": lambda s: [bearer(s), 'Basic realm="r"'],
    "basic first": lambda s: ['Basic realm="r"', bearer(s)],
    "one header": lambda s: [f'{bearer(s)}, Basic realm="r, s"'],
    "one header, basic first": lambda s: [f'Basic realm="r, s", {bearer(s)}'],
    "negotiate first": lambda s: ["Negotiate", bearer(s)],
    "negotiate with data, in one header": lambda s: [f"Negotiate YWJj==, {bearer(s)}"],
    "other case and spaces": lambda s: [f'BEARER  Realm = "{s.url}/token" , scope="a b"'],
}


@pytest.mark.parametrize("name", CHALLENGES)
def test_the_best_of_several_challenges_is_answered(server: Server, tmp_path: Path, name: str) -> None:
    log_in(server, tmp_path)
    told = CHALLENGES[name](server)
    assert both(server, before(tokens, locks(f"Bearer {TOKEN}", *told))) == ""


@pytest.mark.parametrize("told", [["Basic realm=r"], ["Negotiate", "basic"], ['Negotiate, Basic realm="r"']])
def test_basic_is_answered_where_there_is_no_bearer(server: Server, tmp_path: Path, told: list[str]) -> None:
    log_in(server, tmp_path)
    assert both(server, before(locks(BASIC, *told))) == ""


@pytest.mark.parametrize("told", [[], ["Negotiate"], ['Digest realm="r", nonce="n"'], ["Bearer realm"], ['"']])
def test_a_login_of_another_kind_is_refused_in_words(server: Server, tmp_path: Path, told: list[str]) -> None:
    log_in(server, tmp_path)
    assert "docker login" in both(server, before(locks(BASIC, *told)))


@pytest.mark.parametrize("kinds", [("POST",), ("HEAD", "GET", "POST", "PATCH", "PUT", "MANIFEST", "DELETE")])
def test_who_is_asked_only_at_v2_logs_in_from_the_first_request(
    server: Server, tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    log_in(server, tmp_path)
    assert both(server, before(tokens, locks(f"Bearer {TOKEN}", bearer(server), but=kinds))) == ""
    assert both(server, before(locks(BASIC, 'Basic realm="r"', but=kinds))) == ""


def test_a_refusal_without_a_challenge_is_answered_as_v2_asks(server: Server, tmp_path: Path) -> None:
    log_in(server, tmp_path)

    def bare(request: Request) -> Reply | None:
        return Reply(401) if request.kind != "PING" and request.login != BASIC else None

    assert both(server, before(bare, locks(BASIC, "Basic"))) == ""


def test_a_registry_without_v2_or_that_opens_it_to_all_may_ask_later(server: Server, tmp_path: Path) -> None:
    log_in(server, tmp_path)
    for status in (200, 404, 403):

        def ping(request: Request, status: int = status) -> Reply | None:
            return Reply(status) if request.kind == "PING" else None

        assert both(server, before(ping, tokens, locks(f"Bearer {TOKEN}", bearer(server)))) == ""
        assert both(server, before(ping, locks(BASIC, "Basic", status=403))) == ""


def test_a_lapsed_token_is_renewed_and_the_body_sent_again(server: Server, tmp_path: Path) -> None:
    log_in(server, tmp_path)
    for kind in ("PATCH", "PUT", "MANIFEST", "GET"):

        def at(request: Request, kind: str = kind) -> bool:
            return request.kind == kind and request.path != "/token"

        def row(server: Server, at: Callable[[Request], bool] = at) -> None:
            lapsed = once(401, at, ("WWW-Authenticate", bearer(server)))
            server.before += [lapsed, tokens, locks(f"Bearer {TOKEN}", bearer(server))]

        assert both(server, row) == ""


def test_a_token_to_read_does_not_ask_to_write(server: Server, tmp_path: Path) -> None:
    log_in(server, tmp_path)
    server.before += [tokens, locks(f"Bearer {TOKEN}", bearer(server))]
    repository = open_repository(f"{server.url}/team/digits")
    repository.tagged("1")
    repository.put(lambda: [CONTENT], len(CONTENT))
    repository.tagged("1")
    scopes = [request.query["scope"] for request in server.seen if request.path == "/token"]
    assert scopes == [["repository:team/digits:pull"], ["repository:team/digits:pull,push"]]


def test_an_identity_token_is_changed_for_another_and_a_server_that_takes_none_gets_the_name(
    server: Server, tmp_path: Path
) -> None:
    locked = locks(f"Bearer {TOKEN}", bearer(server))
    log_in(server, tmp_path, {"identitytoken": "identity"})
    assert both(server, before(tokens, locked)) == ""
    log_in(server, tmp_path, {"username": "colchis", "password": "geheim", "identitytoken": "identity"})
    for status in (404, 405):

        def only_get(request: Request, status: int = status) -> Reply | None:
            return Reply(status) if request.path == "/token" and request.method == "POST" else None

        assert both(server, before(only_get, tokens, locked)) == ""


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_token_server_that_is_busy_is_asked_again(server: Server, tmp_path: Path, status: int) -> None:
    log_in(server, tmp_path)

    def row(server: Server) -> None:
        busy = once(status, lambda request: request.path == "/token")
        server.before += [busy, tokens, locks(f"Bearer {TOKEN}", bearer(server))]

    assert both(server, row) == ""

    def always(request: Request) -> Reply | None:
        return Reply(status) if request.path == "/token" else None

    said = both(server, before(always, locks(f"Bearer {TOKEN}", bearer(server))))
    assert f"answers {status}" in said
    assert "docker login" not in said


@pytest.mark.parametrize("kind", ["PING", "HEAD", "POST", "PATCH"])
def test_a_registry_that_is_busy_is_asked_again(server: Server, kind: str) -> None:
    def row(server: Server) -> None:
        server.before.append(once(503, lambda request: request.kind == kind))

    assert both(server, row) == ""


@pytest.mark.parametrize(("after_s", "waited"), [("7", 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", 0)])
def test_a_token_server_is_given_the_time_that_it_asks_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_s: str, waited: int
) -> None:
    log_in(server, tmp_path)
    slept: list[float] = []
    monkeypatch.setattr("colchis_steps._oci.registry.time.sleep", slept.append)
    busy = once(503, lambda request: request.path == "/token", ("Retry-After", after_s))
    before(busy, tokens, locks(f"Bearer {TOKEN}", bearer(server)))(server)
    push(server.url)
    assert [round(seconds) for seconds in slept] == [waited]


def test_a_token_server_that_asks_for_an_hour_is_left_to_a_later_run(server: Server, tmp_path: Path) -> None:
    log_in(server, tmp_path)

    def hour(request: Request) -> Reply | None:
        return Reply(503, (("Retry-After", "3600"),)) if request.path == "/token" else None

    before(hour, locks(f"Bearer {TOKEN}", bearer(server)))(server)
    with pytest.raises(TransientError, match="answers 503"):
        push(server.url)
    assert [request.path for request in server.seen].count("/token") == 1


def test_a_token_by_its_other_name_is_taken_and_none_is_refused(server: Server, tmp_path: Path) -> None:
    log_in(server, tmp_path)
    locked = locks(f"Bearer {TOKEN}", bearer(server))

    def sells(body: bytes) -> Before:
        return lambda request: Reply(200, (), body) if request.path == "/token" else None

    assert both(server, before(sells(json.dumps({"access_token": TOKEN}).encode()), locked)) == ""
    for body in (b"", b"[]", b"{}", b'"token"', b"\xff"):
        assert "no token" in both(server, before(sells(body), locked))
    for odd in ("a\r\nX: y", "ä", "a b"):
        assert "not one" in both(server, before(sells(json.dumps({"token": odd}).encode()), locked))


@pytest.mark.parametrize(
    ("keys", "pushes", "state"),
    [
        (["team/digits"], True, "fine"),
        (["team"], True, "fine"),
        ([""], True, "fine"),
        (["team", "!"], True, "fine"),  # "!": a wrong one, here for the host
        (["team/digits", "!"], True, "wrong"),  # other models of the team cannot be pushed
        (["!team"], False, "wrong"),
        (["!team/digits", "team"], False, "wrong"),
        (["other"], False, "wrong"),
        (["tea"], False, "wrong"),
    ],
)
def test_a_login_is_for_its_path(server: Server, tmp_path: Path, keys: list[str], state: str, *, pushes: bool) -> None:
    auths = {}
    for key in keys:
        name = "/".join([server.address, key.strip("!")]).rstrip("/")
        auths[name] = {"username": "colchis", "password": "wrong" if "!" in key else "geheim"}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    server.before.append(locks(BASIC, "Basic"))
    with nullcontext() if pushes else pytest.raises(InputError, match="docker login"):
        push(server.url)
    assert try_registry(f"{server.url}/team", insecure=False).state == state


# --- statuses, places, methods


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("kind", ["POST", "PATCH", "PUT", "MANIFEST", "DELETE"])
def test_any_success_is_one(server: Server, kind: str, status: int) -> None:
    def other(request: Request, answer: Reply) -> Reply:
        found = request.kind == kind and 200 <= answer.status < 300
        return Reply(status, answer.headers) if found else answer

    assert both(server, after(other)) == ""


@pytest.mark.parametrize("status", [206, 302, 400, 404, 413])
def test_what_is_no_success_is_told(server: Server, status: int) -> None:
    def other(request: Request) -> Reply | None:
        return Reply(status) if request.kind in {"POST", "PATCH"} else None

    assert f"answers {status} to POST" in both(server, before(other))


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        *((kind, place) for kind in ("POST", "PATCH") for place in ("relative", "absolute", "network")),
        ("POST", "query"),
        ("PATCH", "absent"),
    ],
)
def test_an_upload_goes_on_where_the_answer_says(server: Server, kind: str, place: str) -> None:
    def other(request: Request, answer: Reply) -> Reply:
        if request.kind not in ({"POST", "PATCH"} if place == "query" else {kind}):
            return answer
        path = dict(answer.headers)["Location"]
        places = {
            "relative": path.rpartition("/")[2],
            "absolute": server.url + path,
            "network": f"//{server.address}{path}",
            "query": f"{path}?_state=a%2Fb&c",
            "absent": None,
        }
        return answer.header("Location", places[place])

    def state_is_lost(request: Request) -> Reply | None:
        lost = place == "query" and request.kind in {"PUT", "DELETE"} and "_state=a%2Fb&c" not in request.url
        return Reply(404) if lost else None

    def row(server: Server) -> None:
        server.after.append(other)
        server.before.append(state_is_lost)

    assert both(server, row) == ""


def test_an_upload_that_opens_nowhere_is_told(server: Server) -> None:
    def nowhere(request: Request, answer: Reply) -> Reply:
        if request.kind == "POST":
            server.uploads.clear()
            return answer.header("Location", None)
        return answer

    assert "does not say where" in both(server, after(nowhere))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("kind", ["POST", "PATCH", "PUT", "MANIFEST", "HEAD", "GET", "PING"])
def test_a_redirect_is_followed_with_the_body(server: Server, kind: str, status: int) -> None:
    def moved(request: Request) -> Reply | None:
        if request.kind != kind or "moved" in request.url:
            return None
        return Reply(status, (("Location", f"{request.url}{'&' if '?' in request.url else '?'}moved"),))

    assert both(server, before(moved)) == ""


@pytest.mark.parametrize("where", ["http://[", "ftp://h/x", "file:///etc/passwd", "http://a:b:c/"])
def test_a_place_that_is_not_one_is_told(server: Server, where: str) -> None:
    def moved(request: Request) -> Reply | None:
        return Reply(307, (("Location", where),)) if request.kind == "POST" else None

    assert "not a URL" in both(server, before(moved))

    def opened(request: Request) -> Reply | None:
        return Reply(202, (("Location", where),)) if request.kind == "POST" else None

    assert both(server, before(opened))


def test_a_circle_of_redirects_ends(server: Server) -> None:
    def moved(request: Request) -> Reply | None:
        return Reply(307, (("Location", request.url),)) if request.kind == "POST" else None

    assert "redirects POST more than" in both(server, before(moved))


@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_a_blob_is_found_where_head_is_refused(server: Server, status: int) -> None:
    def no_head(request: Request) -> Reply | None:
        return Reply(status) if request.method == "HEAD" else None

    assert both(server, before(no_head)) == ""


@pytest.mark.parametrize("ranges", [True, False])
def test_a_blob_is_found_behind_a_link_that_takes_get_alone(server: Server, ranges: bool) -> None:
    with running() as bucket:
        bucket.blobs = server.blobs

        def signed(request: Request) -> Reply | None:
            if request.method != "GET":
                return Reply(403)
            return content_reply(request, server.blobs[request.path[1:]]) if ranges else None

        bucket.before.append(signed)

        def link(request: Request) -> Reply | None:
            digest = request.path.rpartition("/")[2]
            found = digest in server.blobs and request.method in {"GET", "HEAD"}
            return Reply(307, (("Location", f"{bucket.url}/{digest}"),)) if found else None

        server.before.append(link)
        repository = open_repository(f"{server.url}/team/digits")
        for content in (CONTENT, b""):
            digest = repository.put(lambda content=content: [content], len(content))  # type: ignore[misc]
            assert repository.has(digest, len(content))
            assert not repository.has(digest, len(content) + 1)
        assert not repository.has(f"sha256:{'3' * 64}", 3)
        assert b"".join(repository.blob(DIGEST)) == CONTENT
