"""A server that hangs up within the TLS handshake is away, not untrusted: trying again may help."""

import socket
import threading
from collections.abc import Iterator

import pytest

from colchis_steps._oci.repository import open_repository
from colchis_steps._step.errors import TransientError
from colchis_steps._store.opening import open_store


@pytest.fixture
def hangs_up() -> Iterator[str]:
    """Yield host:port of a server that reads the client's hello and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_a_bucket_behind_it_is_transient(hangs_up: str, aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_ENDPOINT_URL", f"https://{hangs_up}")
    with pytest.raises(TransientError):
        open_store("s3://bucket/prefix").read("key")


def test_a_registry_behind_it_is_transient(hangs_up: str) -> None:
    with pytest.raises(TransientError):
        open_repository(f"https://{hangs_up}/models", insecure=False).tagged("1")
