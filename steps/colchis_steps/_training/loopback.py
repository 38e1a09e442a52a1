"""Workers on one machine: TensorFlow's server is kept from other machines.

TensorFlow's server listens at each address of the machine, whatever $TF_CONFIG says (its source has 0.0.0.0 as it
stands), and takes graphs from whoever connects. No setting of TensorFlow or gRPC changes that. So a worker whose own
address is a loopback one binds the listening socket to the loopback interface (SO_BINDTODEVICE), which Linux allows
each process from 5.7 on: a connection that comes over another interface is refused.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from colchis_steps._step.polling import repeating
from colchis_steps._training.rendezvous import Place

INTERFACE = b"lo"
POLL = 0.005  # seconds: so long at most is a new server open to all
OPEN = Path("/proc/self/fd")
log = logging.getLogger("colchis")


@contextlib.contextmanager
def kept_to_this_machine(here: Place) -> Iterator[None]:
    """Close each server that comes up on this worker's port meanwhile to other machines.

    Only where the worker's address is a loopback one, on which all its peers are. Where the system has no way to do so,
    a warning names the port.
    """
    host, _, port = (here.addresses[here.rank] if here.addresses else "").rpartition(":")
    if not is_loopback(host):
        yield
        return
    closed = set[int]()
    with repeating(lambda: closed.update(close_to_others(int(port))), POLL, "loopback"):
        yield
    if not closed | close_to_others(int(port)):
        log.warning(
            "TensorFlow listens on port %s at all addresses of this machine, and this system cannot close it to other "
            "machines (Linux 5.7 can); let a firewall do so, since whoever connects can run code here",
            port,
        )


def is_loopback(host: str) -> bool:
    """Return whether the host of an address is this machine's loopback interface."""
    return host.strip("[]") in {"localhost", "::1"} or host.startswith("127.")


def close_to_others(port: int) -> set[int]:
    """Bind each of this process's listening sockets on the port to the loopback interface; return those it could."""
    closed = set()
    for number, found in listeners(port):
        with found, contextlib.suppress(OSError, AttributeError):  # an old kernel, or no Linux
            if not found.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16):
                found.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, INTERFACE)
            closed.add(number)
    return closed


def listeners(port: int) -> Iterator[tuple[int, socket.socket]]:
    """Yield this process's sockets that listen on the port, as duplicates, with the numbers of the originals."""
    duplicates = set[int]()
    for path in OPEN.iterdir() if OPEN.exists() else []:
        with contextlib.suppress(OSError):  # closed meanwhile
            number = int(path.name)
            if number in duplicates or not str(path.readlink()).startswith("socket:"):
                continue
            found = socket.socket(fileno=os.dup(number))
            duplicates.add(found.fileno())
            if _listens(found, port):
                yield number, found
            else:
                found.close()


def _listens(found: socket.socket, port: int) -> bool:
    internet = found.family in {socket.AF_INET, socket.AF_INET6}
    return (
        internet and bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) and found.getsockname()[1] == port
    )
