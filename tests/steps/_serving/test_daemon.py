"""The port of a home: its own from one start to the next, and never another home's."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from colchis_steps._serving import daemon
from colchis_steps._serving.daemon import STATE, Running, held, port_for, running


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLCHIS_PORT", raising=False)


@contextlib.contextmanager
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


def free() -> int:
    with taken() as port:
        return port


def test_a_home_begins_at_the_usual_port_or_a_free_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = free()
    monkeypatch.setattr(daemon, "default_port", lambda: port)
    assert port_for(tmp_path, None) == port
    with taken() as port:
        assert port_for(tmp_path, None) == 0, "another program has it: any free one"


def test_a_home_keeps_its_port_unless_another_program_has_it_now(tmp_path: Path) -> None:
    port = free()
    (tmp_path / STATE).write_bytes(msgspec.json.encode(Running(1, "127.0.0.1", port)))
    assert port_for(tmp_path, None) == port
    with socket.create_server(("127.0.0.1", port)):
        assert port_for(tmp_path, None) == 0


def test_a_port_that_was_asked_for_is_taken_whoever_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with taken() as port:
        assert port_for(tmp_path, port) == port
        monkeypatch.setenv("COLCHIS_PORT", str(port))
        assert port_for(tmp_path, None) == port
        assert port_for(tmp_path, 9) == 9


def test_a_state_that_a_killed_server_left_half_written_is_no_port(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = free()
    monkeypatch.setattr(daemon, "default_port", lambda: port)
    (tmp_path / STATE).write_bytes(b'{"pid": 1, "ho')
    assert port_for(tmp_path, None) == port


def test_each_of_two_homes_finds_its_own_server(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with (
        held(one / STATE, Running(1, "127.0.0.1", 8501)),
        held(other / STATE, Running(2, "127.0.0.1", 40001)),
    ):
        assert (running(one), running(other)) == (
            Running(1, "127.0.0.1", 8501),
            Running(2, "127.0.0.1", 40001),
        )
    assert running(one) is running(other) is None
