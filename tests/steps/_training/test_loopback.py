"""Workers of one machine are not to be reached from others, whatever address TensorFlow's server takes."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.steps._training.test_rendezvous import free_addresses

from colchis_steps._training import loopback
from colchis_steps._training.loopback import is_loopback, kept_to_this_machine, listeners
from colchis_steps._training.rendezvous import Place

pytestmark = pytest.mark.servers
SERVER = """
import os, sys
from colchis_steps._training.loopback import kept_to_this_machine, listeners
from colchis_steps._training.rendezvous import Place
from colchis_steps._training.steps import Workers
import socket
here = Place(int(sys.argv[1]), tuple(sys.argv[2:]))
os.environ |= {"TF_CONFIG": here.tf_config(), "TF_GRPC_REUSE_PORT": "1"}
with kept_to_this_machine(here):
    workers = Workers(here, 60)
port = int(here.addresses[here.rank].rpartition(":")[2])
for _, found in listeners(port):
    device = found.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
    print(found.getsockname()[0], device.rstrip(bytes(1)).decode())
sys.stdout.flush()
workers.sum([__import__("tensorflow").ones([1])])  # the peer still gets through
os._exit(0)
"""


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


@pytest.mark.tensorflow
def test_tensorflows_own_servers_are_on_the_loopback_interface_alone() -> None:
    """Without the guard they are open to the network: TensorFlow binds to every address."""
    with free_addresses(2) as addresses:
        command = [sys.executable, "-c", SERVER]
        workers = [
            subprocess.Popen(
                [*command, str(rank), *addresses],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
            )
            for rank in (0, 1)
        ]
        told = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    assert [out.split()[1:] for out, _ in told] == [["lo"]] * 2, "each has one socket on its port, closed to others"
