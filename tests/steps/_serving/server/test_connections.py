"""Slow clients, many clients and endless heads, at a server in this process and at one with few files."""

import asyncio
import contextlib
import json
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.steps._serving.server.few_files import few_files

from colchis_steps._serving.server import connections
from colchis_steps._serving.server.app import app
from colchis_steps._serving.server.loaded import Registry
from colchis_steps.serve import listen

HEALTH = b"GET /v2/health/live HTTP/1.1\r\nHost: s\r\n"


@contextlib.contextmanager
def serving(most: int = 50) -> Iterator[tuple[str, int]]:
    """An application without models behind the guarded protocol."""
    import uvicorn

    async def watch() -> None:
        await asyncio.Event().wait()

    config = uvicorn.Config(app(Registry(), watch), log_level="error", http=connections.guarded(most), ws="none")
    server = uvicorn.Server(config)
    opened = listen("127.0.0.1", 0)
    thread = threading.Thread(target=lambda: server.run(sockets=[opened]))
    thread.start()
    try:
        yield opened.getsockname()
    finally:
        server.should_exit = True
        thread.join(30)


def told(raw: socket.socket) -> bytes:
    """Return all that comes until the end, which a reset is, too."""
    raw.settimeout(20)
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := raw.recv(65536):
            found += part
    return found


def answered(raw: socket.socket) -> bool:
    """Ask over a connection that stays open."""
    raw.settimeout(20)
    raw.sendall(HEALTH + b"\r\n")
    found = b""
    while not found.endswith(b"}"):
        part = raw.recv(4096)
        if not part:
            return False
        found += part
    return found.startswith(b"HTTP/1.1 200 ")


def alive(address: tuple[str, int]) -> bool:
    return httpx.get(f"http://{address[0]}:{address[1]}/v2/health/live", timeout=20).status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: ",
        b"GET /",
        HEALTH + b"X: 1\r\n" * 10_000,
        HEALTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        HEALTH + b"Transfer-Encoding: chunked\r\n\r\n1;x=",
    ],
    ids=["header", "line", "headers", "trailer", "extension"],
)
def test_an_endless_head_ends_after_some_bytes(head: bytes) -> None:
    with serving() as address, socket.create_connection(address, timeout=20) as raw:
        sent = 0
        with contextlib.suppress(ConnectionError):
            raw.sendall(head)
            while sent < 80 << 20:
                sent += raw.send(b"a" * 65536)
        assert sent < 16 << 20, "the server goes on reading"
        assert alive(address)


def test_a_head_that_is_too_large_gets_431() -> None:
    with serving() as address:
        for head in (HEALTH + b"X: " + b"a" * 40_000, HEALTH + b"X: 1\r\n" * 101):
            with socket.create_connection(address) as raw:
                raw.sendall(head + (b"\r\n\r\n" if b"1\r\n" not in head[-4:] else b"\r\n"))
                answer = told(raw)
                assert answer.startswith(b"HTTP/1.1 431 ")
                assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "OUT_OF_RANGE"
        with socket.create_connection(address) as raw:
            raw.sendall(HEALTH + b"X: " + b"a" * 20_000 + b"\r\nConnection: close\r\n\r\n")
            assert told(raw).startswith(b"HTTP/1.1 200 ")


def test_who_is_slow_with_a_head_or_a_body_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.3)
    with serving() as address:
        for begun, answer in [
            (b"", b""),
            (b"GET / HTTP/1.1\r\nHost", b"HTTP/1.1 408 "),
            (b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 9\r\n\r\nabc", b"HTTP/1.1 405 "),
            (HEALTH + b"\r\nGET", b"HTTP/1.1 200 "),
        ]:
            with socket.create_connection(address) as raw:
                raw.sendall(begun)
                assert told(raw).startswith(answer)
        assert alive(address)


def test_one_peer_has_half_of_the_connections_and_its_oldest_idle_ones_end_first() -> None:
    with serving(most=8) as address:
        opened = [socket.create_connection(address) for _ in range(4)]
        try:
            assert all(map(answered, [*opened, opened[0]])), "from now on the first is the youngest of those that wait"
            opened.append(socket.create_connection(address))
            assert told(opened[1]) == b""
            assert alive(address), "it takes the place of another one"
            assert answered(opened[0])
        finally:
            for raw in opened:
                raw.close()


def test_the_limit_on_files_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, most in ((1024, 512), (1 << 20, 4096), (resource.RLIM_INFINITY, 4096), (8, 8)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert connections.most_connections() == most


@pytest.mark.servers
def test_eleven_hundred_idle_connections_at_1024_files_leave_health_answering(tmp_path: Path) -> None:
    with few_files(tmp_path) as (address, _), contextlib.ExitStack() as stack:
        for number in range(1100):
            stack.enter_context(socket.create_connection(address, timeout=20))
            if number % 100 == 99:
                assert alive(address)
        for _ in range(5):
            assert alive(address)
        with socket.create_connection(address, timeout=20) as raw:
            raw.sendall(HEALTH + b"Connection: close\r\n\r\n")
            assert b"421" in told(raw), "s is none of its names"
