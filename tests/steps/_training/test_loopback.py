"""Workers of one machine are not to be reached from others, whatever address TensorFlow's server takes."""

import contextlib
import logging
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from tests.steps.training_data import Trainer, write_data

from colchis_steps._step.polling import poll
from colchis_steps._training import loopback
from colchis_steps._training.loopback import is_loopback, kept_to_this_machine, listeners
from colchis_steps._training.rendezvous import Place

pytestmark = pytest.mark.servers


def device(found: socket.socket) -> bytes:
    return found.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0")


def address_of_this_machine() -> str:
    """Return the address by which others know this machine; "" where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("198.51.100.1", 9))  # sends nothing
        return str(probe.getsockname()[0])
    return ""


def test_a_server_that_comes_up_at_all_addresses_is_closed_to_other_machines_at_once() -> None:
    with socket.socket() as server, socket.socket() as other:
        server.bind(("0.0.0.0", 0))
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = server.getsockname()[1]
        with kept_to_this_machine(Place(1, ("127.0.0.1:9", f"127.0.0.1:{port}"))):
            server.listen()
            seen, deadline = threading.Event(), 5.0
            while not device(server) and deadline > 0:
                seen.wait(0.01)
                deadline -= 0.01
            assert device(server) == b"lo", "while TensorFlow waits for its peers, the port is closed already"
        assert device(other) == b"", "only the worker's own port"
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        if outside := address_of_this_machine():
            socket.create_connection((outside, other.getsockname()[1]), timeout=5).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((outside, port), timeout=5)


def test_a_worker_that_peers_on_other_machines_must_reach_is_left_alone() -> None:
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        port = server.getsockname()[1]
        with kept_to_this_machine(Place(0, (f"train-0.train:{port}", "train-1.train:2222"))):
            pass
        with kept_to_this_machine(Place()):
            pass
        assert device(server) == b""
        ((number, duplicate),) = listeners(port)
        duplicate.close()
        assert number == server.fileno()


def test_a_system_that_has_no_way_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(loopback, "OPEN", tmp_path / "absent")
    with caplog.at_level(logging.WARNING, "colchis"), kept_to_this_machine(Place(0, ("127.0.0.1:77", "127.0.0.1:78"))):
        pass
    assert "listens on port 77 at all addresses of this machine" in caplog.text


@pytest.mark.parametrize(
    ("host", "yes"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("[::1]", True), ("10.0.0.1", False), ("", False)],
)
def test_loopback_addresses_are_known(host: str, yes: bool) -> None:
    assert is_loopback(host) is yes


def listening(pid: int) -> list[tuple[str, int]]:
    """Return where a process listens over IP, by the kernel's own tables: address in hexadecimal, port."""
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in links:
                address, _, port = local.rpartition(":")
                found.append((address, int(port, 16)))
    return found


@pytest.mark.tensorflow
def test_no_port_of_a_local_training_is_reached_from_outside(tmp_path: Path) -> None:
    """TensorFlow listens at every address; without the guard this connects, and could run a graph of its own."""
    trainer = Trainer(tmp_path, write_data(tmp_path / "data", {"train": [24], "eval": [6], "test": [6]}))
    flags = ["--workers=2", '--hyperparameters={"epochs": 100000, "global_batch": 6}']
    with subprocess.Popen(trainer.command("r", *flags), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert poll(lambda: process.poll() is not None or trainer.checkpoints("r") or None, 200)
            assert process.poll() is None, process.communicate()
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            places = [listening(int(pid)) for pid in children]
            assert [len(found) for found in places] == [1, 1], places
            for ((_, port),) in places:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                if outside := address_of_this_machine():
                    with pytest.raises(ConnectionRefusedError):
                        socket.create_connection((outside, port), timeout=5)
        finally:
            process.kill()
            process.communicate()
