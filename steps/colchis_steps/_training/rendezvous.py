"""Where a worker stands among its peers, and the meeting of all of them before TensorFlow starts to wait.

Reads   $COLCHIS_ADDRESSES (host:port of each worker, with commas, in order of rank) with $COLCHIS_RANK or
        $JOB_COMPLETION_INDEX; or a $TF_CONFIG that an operator has set; else the worker is alone

TensorFlow's multi-worker strategy waits without end and without a word for a peer that never comes. So the workers meet
first: each listens at its own address and greets each peer at theirs; when all have reached all, the chief says so.
"""

import contextlib
import json
import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from colchis_steps._step.errors import InputError
from colchis_steps._step.polling import poll
from colchis_steps._training.failures import MeetingError

POLL = 0.2  # seconds between two tries
REPLY = 10.0  # seconds that a peer that was reached may take for a line
OURS = ("chief", "worker")  # the types of tasks that a training has


@dataclass(frozen=True)
class Place:
    """This worker's rank among the addresses (``host:port``); a worker that is alone has none."""

    rank: int = 0
    addresses: tuple[str, ...] = ()

    @property
    def workers(self) -> int:
        """The number of workers."""
        return max(1, len(self.addresses))

    @property
    def chief(self) -> bool:
        """Whether this worker saves and exports."""
        return self.rank == 0

    def tf_config(self) -> str:
        """Return TensorFlow's description of the same."""
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": {"type": "worker", "index": self.rank}})

    def name(self, rank: int) -> str:
        """Name a worker in a sentence."""
        return f"worker {rank} of {self.workers}, host {self.addresses[rank]}"


def place(environment: Mapping[str, str]) -> Place:
    """Read this worker's place from the environment.

    Raises:
        InputError: rank or addresses are missing or malformed, or the place is one that no training of ours has.
    """
    if text := environment.get("COLCHIS_ADDRESSES"):
        rank, addresses = environment.get("COLCHIS_RANK", environment.get("JOB_COMPLETION_INDEX", "")), text.split(",")
    elif text := environment.get("TF_CONFIG"):
        rank, addresses = _from_tf_config(text)
    else:
        return Place()
    if not rank.isdecimal() or int(rank) >= len(addresses):
        raise InputError(
            f"rank {rank!r} is none of the {len(addresses)} workers' 0 to {len(addresses) - 1}; correct it"
        )
    for address in addresses:
        if not address.rpartition(":")[0] or not address.rpartition(":")[2].isdecimal():
            raise InputError(f"worker address {address!r} is not host:port; correct $COLCHIS_ADDRESSES or $TF_CONFIG")
    return Place(int(rank), tuple(addresses)) if len(addresses) > 1 else Place()


class _Task(msgspec.Struct):
    type: str
    index: int


class _TfConfig(msgspec.Struct):
    cluster: dict[str, list[str]]
    task: _Task


def _from_tf_config(text: str) -> tuple[str, list[str]]:
    """Return the rank and the addresses: the chief first, where there is one, then the workers.

    Raises:
        InputError: it is malformed, has several chiefs, or the task is one that Colchis does not have.
    """
    try:
        config = msgspec.json.decode(text, type=_TfConfig, strict=False)
    except msgspec.DecodeError as error:
        raise InputError(
            f"$TF_CONFIG {text[:256]!r} does not describe a cluster of workers ({error}); correct it"
        ) from error
    task, chiefs, workers = config.task, config.cluster.get("chief", []), config.cluster.get("worker", [])
    if task.type not in OURS:
        raise InputError(
            f"$TF_CONFIG makes this process {task.type} {task.index}, and Colchis trains with workers alone, of which "
            f"one may be called chief; leave {task.type} out of the job"
        )
    if "master" in config.cluster and (chiefs or workers):
        raise InputError(
            "$TF_CONFIG has a master beside chief or workers, so two would be chief; call the master a worker"
        )
    if len(chiefs) > 1:
        raise InputError(f"$TF_CONFIG has {len(chiefs)} chiefs, {', '.join(chiefs)}; call all but one of them workers")
    mine = config.cluster.get(task.type, [])
    if not 0 <= task.index < len(mine):
        raise InputError(
            f"$TF_CONFIG makes this process {task.type} {task.index}, and its cluster has {len(mine)} of that type, "
            "counted from 0; correct it"
        )
    return str(task.index + (len(chiefs) if task.type == "worker" else 0)), [*chiefs, *workers]


class _Greeter(socketserver.StreamRequestHandler):
    timeout = REPLY

    def handle(self) -> None:
        door = cast("_Door", self.server)
        with contextlib.suppress(OSError):
            self.wfile.write(f"{door.greeting}\n".encode())
            words = self.rfile.readline().decode(errors="replace").split()
            if len(words) == 2 and words[0] == "ready" and words[1].isdecimal():
                with door.changed:
                    door.ready.add(int(words[1]))
                    door.changed.notify_all()
                    door.changed.wait_for(lambda: door.answer)
                self.wfile.write(f"{door.answer}\n".encode())


class _Door(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    allow_reuse_port = True  # whoever started us may hold the port for us; TensorFlow's server takes it next
    request_queue_size = 128

    def __init__(self, address: Any, family: int, greeting: str) -> None:
        self.address_family = family
        self.greeting, self.ready, self.answer = greeting, set[int](), ""
        self.changed = threading.Condition()
        super().__init__(address, _Greeter)

    def say(self, answer: str) -> None:
        """Answer each worker that is ready, now and from now on."""
        with self.changed:
            self.answer = answer
            self.changed.notify_all()


def rendezvous(here: Place, token: str, message: str, seconds: float) -> str:
    """Wait until all workers have reached all; return the chief's message (one line without spaces) to each.

    ``token`` (no spaces) is the run's, so that workers of two runs never take each other for peers.

    Raises:
        MeetingError: a peer was not reachable in time, by name.
    """
    if here.workers == 1:
        return message
    start = time.monotonic()
    deadline = start + seconds
    with _open_door(here, token, deadline, seconds) as door:
        try:
            for rank in range(here.workers):
                if rank != here.rank:
                    _reach(here, rank, token, deadline, seconds).close()
            if not here.chief:
                return _ask_chief(here, token, deadline, seconds)
            _gather(here, door, deadline, seconds)
            door.say(f"go {message}")
        except BaseException as error:
            door.say(f"lost {error}".replace("\n", " "))
            raise
    return message


def _gather(here: Place, door: _Door, deadline: float, seconds: float) -> None:
    everyone = set(range(1, here.workers))
    with door.changed:
        if not door.changed.wait_for(lambda: door.ready >= everyone, deadline - time.monotonic()):
            raise MeetingError(
                f"{here.name(min(everyone - door.ready))}, does not reach all of its peers after {seconds:.0f} s; "
                "look at its log and at the network between the workers, then run it again"
            )


@contextlib.contextmanager
def _open_door(here: Place, token: str, deadline: float, seconds: float) -> Iterator[_Door]:
    host, _, port = here.addresses[here.rank].rpartition(":")
    refused: OSError | None = None

    def opened() -> _Door | None:
        nonlocal refused
        try:
            family, *_, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
            return _Door(address, family, f"colchis {token} {here.rank}")
        except OSError as error:
            refused = error
            return None

    door = poll(opened, deadline - time.monotonic(), POLL)
    if door is None:
        raise MeetingError(
            f"{here.name(here.rank)}, cannot listen at its own address after {seconds:.0f} s ({refused}); "
            "free the port or correct the address, then run it again"
        ) from refused
    with door:
        thread = threading.Thread(target=door.serve_forever, args=(0.05,), name="rendezvous", daemon=True)
        thread.start()
        try:
            yield door
        finally:
            door.say(door.answer or "lost the worker left")
            door.shutdown()


def _reach(here: Place, rank: int, token: str, deadline: float, seconds: float) -> socket.socket:
    host, _, port = here.addresses[rank].rpartition(":")

    def reached() -> socket.socket | None:
        with contextlib.suppress(OSError):
            peer = socket.create_connection((host.strip("[]"), int(port)), timeout=REPLY)
            if _line(peer) == f"colchis {token} {rank}":
                return peer
            peer.close()
        return None

    peer = poll(reached, deadline - time.monotonic(), POLL)
    if peer is None:
        raise MeetingError(
            f"{here.name(rank)}, not reachable after {seconds:.0f} s; "
            "look whether it was started and whether the network lets it through, then run it again"
        )
    return peer


def _ask_chief(here: Place, token: str, deadline: float, seconds: float) -> str:
    with _reach(here, 0, token, deadline, seconds) as chief:
        chief.sendall(f"ready {here.rank}\n".encode())
        chief.settimeout(max(0.0, deadline - time.monotonic()) + REPLY)
        answer = ""
        with contextlib.suppress(OSError):
            answer = _line(chief)
    word, _, rest = answer.partition(" ")
    if word == "go":
        return rest
    raise MeetingError(rest or f"{here.name(0)}, went away while the workers met; look at its log, then run it again")


def _line(peer: socket.socket) -> str:
    found = b""
    while not found.endswith(b"\n") and len(found) < 4096 and (more := peer.recv(1)):
        found += more
    return found.decode(errors="replace").rstrip("\n")
