"""Who may ask: names of the server, pages of other origins, tokens by model."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from colchis_steps._serving import client
from colchis_steps._serving.client import authorization
from colchis_steps._serving.server.access import LOOPBACK, Access, Tokens
from colchis_steps._serving.server.app import app
from colchis_steps._serving.server.loaded import Registry
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._step.errors import InputError

DIGITS, ALL = "token-of-digits-0", "token-of-all-0123"


def status(access: Access, path: str = "/", method: str = "GET", **headers: str) -> int:
    try:
        access.check(method, path, {name.replace("_", "-"): value for name, value in headers.items()})
    except Refused as refused:
        return refused.status
    return 200


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"digits": [DIGITS], "*": [ALL]}))
    return path


def test_a_name_that_was_made_to_mean_this_machine_is_refused() -> None:
    local = Access(LOOPBACK | {"models.test"})
    for host in ("127.0.0.1:8501", "localhost", "LOCALHOST:1", "[::1]:8501", "models.test:80", ""):
        assert status(local, host=host) == 200
    for host in ("evil.test:8501", "127.0.0.1.evil.test", "localhost.evil.test", "[::2]:1", "127.0.0.1:8501:9"):
        assert status(local, host=host) == 421
    assert status(Access(), host="10.0.0.7:8501") == 200


def test_a_page_of_another_origin_is_refused_unless_it_is_allowed() -> None:
    access = Access(origins=["https://app.test"])
    assert status(access, host="server:8501", origin="http://server:8501") == 200
    assert status(access, host="server:8501", origin="https://app.test") == 200
    for origin in ("https://evil.test", "null", "http://server:9000", "http://[", "https://app.test.evil.test"):
        assert status(access, method="POST", host="server:8501", origin=origin) == 403


def test_tokens_are_by_model_and_probes_need_none(tokens: Path) -> None:
    access = Access(tokens=Tokens(tokens))
    path = "/v1/models/digits:predict"
    for token, digits, other in ((DIGITS, 200, 403), (ALL, 200, 200), ("x" * 20, 401, 401), ("", 401, 401)):
        bearer = f"Bearer {token}"
        assert status(access, path, authorization=bearer) == digits
        assert status(access, "/v2/models/digits/infer", authorization=bearer) == digits
        assert status(access, "/v2/models/other/infer", authorization=bearer) == other
        assert status(access, "/board/other", authorization=bearer) == other
        assert status(access, "/v1/models", authorization=bearer) == other
    assert status(access, path) == 401
    assert status(access, path, authorization=f"Basic {DIGITS}") == 401
    assert status(access, "/v1/models/%64igits:predict", authorization=f"Bearer {DIGITS}") == 200
    for open_path in ("/v2/health/live", "/v2/health/ready", "/metrics", "/v2"):
        assert status(access, open_path) == 200


def test_the_file_is_read_again_and_a_broken_one_changes_nothing(
    tokens: Path, caplog: pytest.LogCaptureFixture
) -> None:
    access = Access(tokens=Tokens(tokens))
    assert status(access, "/v1/models/digits", authorization=f"Bearer {DIGITS}") == 200
    (tokens.parent / "new").write_text('{"digits": ["another-token-00"]}')
    (tokens.parent / "new").replace(tokens)
    assert status(access, "/v1/models/digits", authorization=f"Bearer {DIGITS}") == 401
    assert status(access, "/v1/models/digits", authorization="Bearer another-token-00") == 200
    (tokens.parent / "new").write_text("{")
    (tokens.parent / "new").replace(tokens)
    assert status(access, "/v1/models/digits", authorization="Bearer another-token-00") == 200
    assert "the tokens stay as they were" in caplog.text


@pytest.mark.parametrize("content", [None, "{", "[]", '{"m": ["short"]}', '{"m": "token-of-digits-0"}'])
def test_what_is_no_file_of_tokens_is_told(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokens.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"tokens\.json"):
        Tokens(path)


def test_answers_say_what_is_wanted_and_let_allowed_pages_read_them(tokens: Path) -> None:
    async def watch() -> None:
        await asyncio.Event().wait()

    async def story() -> list[httpx.Response]:
        access = Access(origins=["https://app.test"], tokens=Tokens(tokens))
        transport = httpx.ASGITransport(app(Registry(), watch, access=access))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            page: dict[str, Any] = {"headers": {"Origin": "https://app.test"}}
            return [
                await client.options("/v1/models/digits:predict", **page),
                await client.post("/v1/models/digits:predict", json={}, **page),
                await client.get("/v2/health/live"),
            ]

    preflight, asked, live = asyncio.run(story())
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "https://app.test")
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert (asked.status_code, asked.json()["code"], asked.headers["www-authenticate"]) == (
        401,
        "UNAUTHENTICATED",
        "Bearer",
    )
    assert asked.headers["access-control-allow-origin"] == "https://app.test"
    assert "access-control-allow-origin" not in live.headers


def test_steps_that_ask_a_server_send_their_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLCHIS_TOKEN_FILE", raising=False)
    assert authorization() == {}
    mounted = tmp_path / "mounted"  # a pod's own, where its Secret is there
    monkeypatch.setattr(client, "MOUNTED", mounted)
    assert authorization() == {}
    mounted.write_text(DIGITS)
    assert authorization() == {"Authorization": f"Bearer {DIGITS}"}
    monkeypatch.setenv("COLCHIS_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(InputError, match=r"there is no file .*, which COLCHIS_TOKEN_FILE names"):
        authorization()
    (tmp_path / "token").write_text(f"{ALL}\n")
    assert authorization() == {"Authorization": f"Bearer {ALL}"}
    (tmp_path / "token").write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot be read; see COLCHIS_TOKEN_FILE"):
        authorization()
