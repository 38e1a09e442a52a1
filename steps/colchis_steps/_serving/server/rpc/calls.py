"""Calls over gRPC within bounds: how many are at work, and how long one may wait for its message.

grpc takes a call by its head and then waits for the message as long as the client likes, which would hold the server's
last place for a call. So a call that is late is ended; where too many wait for their client, the one that has waited
longest ends first, so that who comes next is answered.
"""

import asyncio
import logging
import time
from typing import Any

import grpc
from grpc import aio

from colchis_steps._serving.server.predictions import BODY_SECONDS
from colchis_steps._serving.server.refusals import CODES, Refused

log = logging.getLogger("colchis")

Context = aio.ServicerContext[Any, Any]


class Calls:
    """The calls of all connections: ``most`` at work at a time, of which half may wait for their message."""

    def __init__(self, most: int) -> None:
        self.most, self.at_work = most, 0
        self._waiting: dict[Context, float] = {}  # and since when; the longest first
        self._ending = set[asyncio.Task[None]]()

    async def message(self, context: Context) -> bytes:
        """Return the message of a call that has come to be at work.

        Raises:
            Refused: 429 where too many calls are at work, 400 where the client sends no message.
            aio.AbortError: the call was ended meanwhile, and its client told.
        """
        if self.at_work > self.most:
            raise Refused(429, f"{self.most} calls are at work already; ask again in a second, or add a replica")
        if len(self._waiting) >= self.most // 2:
            self._end(next(iter(self._waiting)), 429, "too many calls wait for their message; send it with the call")
        self._waiting[context] = time.monotonic()
        try:
            content = await context.read()
        finally:
            self._waiting.pop(context, None)
        if not isinstance(content, bytes):
            raise Refused(400, "the call has no message; send one")
        return content

    def end_late(self) -> None:
        """End the calls whose message is late."""
        due = time.monotonic() - BODY_SECONDS
        for context in [context for context, since in self._waiting.items() if since < due]:
            self._end(context, 408, f"the message did not arrive in {BODY_SECONDS:.0f} s; send it with the call")

    def _end(self, context: Context, status: int, sentence: str) -> None:
        """End a call that waits: to cancel its reading instead would leave grpc writing where nobody holds memory."""
        del self._waiting[context]

        async def end() -> None:
            try:
                await context.abort(grpc.StatusCode[CODES[status]], sentence)
            except aio.AbortError:
                pass  # so it ends for us, too
            except Exception as error:  # noqa: BLE001 - grpc has several for a client that is gone
                log.debug("a call went before it was ended: %s", error)

        task = asyncio.ensure_future(end())
        self._ending.add(task)  # the loop alone would let it go
        task.add_done_callback(self._ending.discard)
