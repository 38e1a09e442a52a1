"""Connections of slow and of many clients: bounds on heads, on time, and on how many there are.

uvicorn's protocol bounds neither a head nor the wait for one. This one closes what is late, and where there are too
many it closes the one that has waited longest for its client, so that who comes next, as a probe does, is answered.
"""

import json
import math
import resource
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

HEAD = 32 << 10  # bytes of a request's line and headers, also of what follows a chunked body
HEADERS = 100
HEAD_SECONDS = 10.0  # for a head to arrive, from the connection's or the request's begin
BODY_SECONDS = 60.0  # for a body that nobody waits for; predictions wait for half as long
WRITE_SECONDS = 60.0  # in which a client takes more of its answer
WHOLE = "colchis.whole"  # in a request's scope once its body has arrived, so that nobody sets a clock for it
SHARE = 0.5  # of the files that this process may open; gRPC, models, logs and the store have the others
MOST = 4096


class _TooLarge(Exception):  # noqa: N818 - ends the parser
    """A head beyond the bounds."""


def most_connections(share: float = SHARE, most: int = MOST) -> int:
    """Return how many connections, ``most`` at most, a share of the files that may be open leaves room for."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if files == resource.RLIM_INFINITY else max(8, min(most, int(files * share)))


@dataclass
class Open:
    """The connections that are open: ``most`` in all, ``peer`` of one address; and those that wait for their client."""

    most: int
    peer: int
    waiting: "dict[Guarded, None]" = field(default_factory=dict)  # the longest first
    peers: Counter[str] = field(default_factory=Counter)

    def came(self, connection: "Guarded") -> bool:
        """Take a connection; where that is one too many another one ends. Return False where none can."""
        self.peers[connection.peer] += 1
        self.waiting[connection] = None
        if self.peers[connection.peer] > self.peer:
            return self._ends_one(connection, connection.peer)
        if self.peers.total() > self.most:
            return self._ends_one(connection, "")
        return True

    def went(self, connection: "Guarded") -> None:
        """Forget a connection."""
        self.waiting.pop(connection, None)
        self.peers[connection.peer] -= 1
        if not self.peers[connection.peer]:
            del self.peers[connection.peer]

    def _ends_one(self, but: "Guarded", peer: str) -> bool:
        found = (one for one in self.waiting if one is not but and not one.ended and peer in {"", one.peer})
        if one := next(found, None):
            one.end()
        return one is not None


class Guarded(HttpToolsProtocol):
    """A connection within bounds; ``table`` counts it."""

    table: Open

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.peer, self.ended = "", False
        self._unseen = 0  # bytes since the parser last had something to tell
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Take the connection, or tell the client that there are too many."""
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        if self.table.came(self):
            self._wait(HEAD_SECONDS)
        else:
            self._refuse(503, "UNAVAILABLE", "too many connections are at work; come back in a second")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.ended = True
        self.table.went(self)
        for timer in (self._timer, self._writing):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and end where it only swallows."""
        if self.ended:
            return
        self._unseen += len(data)
        super().data_received(data)
        if self._unseen > HEAD and not self.ended:
            self._too_large()

    def on_message_begin(self) -> None:
        """Start the time that the head has."""
        super().on_message_begin()
        self._wait(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """Look at the head's size, then give the body its time."""
        self._unseen = 0
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD or len(self.headers) > HEADERS:
            raise _TooLarge
        super().on_headers_complete()
        self._wait(BODY_SECONDS)

    def on_body(self, body: bytes) -> None:
        """Note that something came."""
        self._unseen = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that from here on it is the client that waits."""
        self._unseen = 0
        self._deadline = math.inf
        self.table.waiting.pop(self, None)
        self.scope[WHOLE] = True  # type: ignore[literal-required]
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Note that it is the client's turn again."""
        if not self.ended:
            self.table.waiting[self] = None
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with bytes that the parser did not take."""
        size = sum(len(name) + len(value) for name, value in self.headers or ())
        if size > HEAD or len(self.headers or ()) > HEADERS:
            self._too_large()
        else:
            self.ended = True
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        """Start the time that the client has to take what is written."""
        super().pause_writing()
        if self._writing:
            self._writing.cancel()
        self._writing = self.loop.call_later(WRITE_SECONDS, self.end)

    def resume_writing(self) -> None:
        """Note that it took some."""
        super().resume_writing()
        if self._writing:
            self._writing.cancel()

    def end(self) -> None:
        """Close the connection at once."""
        self.ended = True
        self.transport.abort()

    def _wait(self, seconds: float) -> None:
        """Set the time by which the client has to go on; a timer that runs looks again, as a new one costs more."""
        self._deadline = self.loop.time() + seconds
        if self._timer is None:
            self._timer = self.loop.call_at(self._deadline, self._late)

    def _late(self) -> None:
        self._timer, now = None, self.loop.time()
        if self._deadline > now:
            if self._deadline < math.inf:  # the next request's head may be due sooner
                self._timer = self.loop.call_at(min(self._deadline, now + HEAD_SECONDS), self._late)
            return
        if self._unseen and not self._answering():
            self._refuse(408, "DEADLINE_EXCEEDED", "the request did not arrive in time; send it at once")
        else:
            self.end()

    def _too_large(self) -> None:
        sentence = f"the request's line and headers are over {HEAD} bytes or {HEADERS} headers; send fewer"
        self.end() if self._answering() else self._refuse(431, "OUT_OF_RANGE", sentence)

    def _answering(self) -> bool:
        cycle: Any = self.cycle  # None until the first head is whole
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: int, code: str, sentence: str) -> None:
        body = json.dumps({"error": sentence, "code": code}).encode()
        head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        self.ended = True
        self.transport.close()


def guarded(most: int = 0) -> type[Guarded]:
    """Return the protocol for uvicorn, with a table of its own; ``most`` 0 is what the limit on files allows."""
    most = most or most_connections()
    return type("Guarded", (Guarded,), {"table": Open(most, max(1, most // 2))})
