"""How the embedded server answers predictions: read, check, batch, write, count, and keep a sample where asked to.

Calling the model and reading large JSON happen in threads, so that health and small requests are answered meanwhile.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from colchis_steps._savedmodel.loading import Arrays, ValuesError
from colchis_steps._serving.server import binary, encodings, limits, protocol
from colchis_steps._serving.server.batch import Batcher, Limits
from colchis_steps._serving.server.loaded import OVERRIDE, Registry, Version
from colchis_steps._serving.server.metrics import Metrics
from colchis_steps._serving.server.protocol import Question
from colchis_steps._serving.server.refusals import Refused

if TYPE_CHECKING:
    from colchis_steps._serving.server.request_log import Sampler

T = TypeVar("T")
ANSWERED_BY = "Colchis-Version"  # the header of an answer that says which version gave it
SMALL = 1 << 14  # bytes of a body that is read in the event loop: handing it to a thread would cost more
BODY_SECONDS = 30.0  # for a body to arrive
IN_HAND = 8  # bodies of the largest size that may be in memory at once


@dataclass(frozen=True)
class Settings:
    """How much at once: ``threads`` compute; a request has ``body`` bytes, ``rows`` rows and ``answer`` bytes back."""

    threads: int = 2
    body: int = 32 << 20
    rows: int = 4096
    batch: Limits = field(default_factory=Limits)
    answer: int = 64 << 20


@dataclass
class Asked:
    """A request that is being answered: whose it is, how it ends, and the bytes of it that are in memory."""

    of: "Predictions"
    labels: tuple[str, str] = ("", "")  # model and version; a client's words never become labels
    code: int = 500
    held: int = 0

    def meant(self, version: Version) -> Version:
        """Note the version, and return it."""
        self.labels = version.model, str(version.number)
        return version

    def takes(self, size: int) -> None:
        """Note bytes that came. Raises Refused (429) where those of all requests are too many."""
        if self.of.in_hand + size > IN_HAND * self.of.settings.body:
            raise Refused(429, f"{self.of.in_hand} bytes of other requests are in memory; ask again later")
        self.held += size
        self.of.in_hand += size


class Predictions:
    """Answers predictions; its parts are the registry, the batches, the metrics and the log."""

    def __init__(
        self, registry: Registry, settings: Settings, logging_to: "Callable[[Metrics], Sampler] | None" = None
    ) -> None:
        self.registry, self.settings, self.in_hand = registry, settings, 0
        self.metrics = Metrics(lambda: self.batcher.waiting)
        self.readers = ThreadPoolExecutor(settings.threads, "read")
        pool = ThreadPoolExecutor(settings.threads, "predict")
        self.batcher = Batcher(pool, settings.threads, settings.batch, self.metrics.batch)
        self.sampler = logging_to(self.metrics) if logging_to else None

    async def close(self) -> None:
        """Write what is sampled."""
        if self.sampler:
            await asyncio.to_thread(self.sampler.close)

    async def v1(self, request: Request) -> Response:
        """Answer a V1 request."""
        return await self._answer(request, lambda body, version: protocol.read_v1(body, version.columns))

    async def v2(self, request: Request) -> Response:
        """Answer a V2 request, whose tensors may stand behind the JSON."""

        def read(body: bytes, version: Version) -> Question:
            document, rest = binary.divided(body, request.headers)
            question = protocol.read_v2(document, version.columns, version.saved.outputs, rest)
            head = {"model_name": version.model, "model_version": str(version.number)}
            return Question(question.arrays, lambda outputs: head | question.write(outputs))

        return await self._answer(request, read)

    async def _answer(self, request: Request, read: Callable[[bytes, Version], Question]) -> Response:
        named = bool(request.path_params.keys() & {"version", "label"}) or OVERRIDE in request.headers
        try:
            with self.observed(named=named) as asked:
                version = asked.meant(self._meant(request))
                most = limits.body_limit(version.saved.inputs, self.settings.rows, self.settings.body)
                body, encoding = await self._body(request, asked, most), request.headers.get("content-encoding", "")

                def question_of() -> Question:
                    plain = encodings.unpacked(body, encoding, most)
                    if len(plain) > SMALL:
                        document, _ = binary.divided(plain, request.headers)
                        limits.check_body(document, version.saved.inputs, self.settings.rows)
                    return read(plain, version)

                question = await self.read(question_of, small=len(body) <= SMALL and not encoding)

                def answer(outputs: Arrays) -> Response:
                    content, about = binary.joined(question.write(outputs))
                    content, packing = encodings.packed(content, request.headers)
                    named_by = {ANSWERED_BY: str(version.number)}
                    return Response(
                        content, headers={"Content-Type": "application/json", **about, **packing, **named_by}
                    )

                response: Response = await self.compute(version, question.arrays, answer)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        return response

    @contextlib.contextmanager
    def observed(self, *, named: bool) -> "Iterator[Asked]":
        """Count and time a request, however it ends; ``named`` says that it names the version."""
        started, asked = time.perf_counter(), Asked(self)
        try:
            yield asked
            asked.code = 200
        except Refused as refused:
            asked.code = refused.status
            raise
        except ClientDisconnect:
            asked.code = 499
            raise
        finally:
            self.in_hand -= asked.held
            self.metrics.requests.labels(*asked.labels, str(asked.code)).inc()
            if named:
                self.metrics.named.labels(*asked.labels, str(asked.code)).inc()
            self.metrics.seconds.labels(*asked.labels).observe(time.perf_counter() - started)

    async def read(self, read: Callable[[], T], *, small: bool) -> T:
        """Read a request here where it is small, else in a thread."""
        return read() if small else await asyncio.get_running_loop().run_in_executor(self.readers, read)

    async def compute(self, version: Version, arrays: Arrays, write: Callable[[Arrays], Any]) -> Any:
        """Return what ``write`` makes of the outputs, in a thread, after they are held against their bound.

        Raises:
            Refused: 413 for too many rows or too long an answer, 429 where too many requests wait, 400 where the model
                refuses the values.
        """
        rows = max((len(array) for array in arrays.values() if array.ndim), default=0)
        if rows > self.settings.rows:
            raise Refused(413, f"the request has {rows} rows; send at most {self.settings.rows} at a time")

        def answer(outputs: Arrays) -> Any:
            limits.check_answer(outputs, self.settings.answer)
            written = write(outputs)
            if self.sampler:
                self.sampler.offer(version.model, version.number, arrays, outputs)
            return written

        try:
            return await self.batcher.predict(version.saved, (version.model, str(version.number)), arrays, answer)
        except ValuesError as error:
            raise Refused(400, str(error)) from error

    def _meant(self, request: Request) -> Version:
        path = request.path_params
        if label := path.get("label"):
            return self.registry.labelled(path["model"], label)
        return self.registry.find(path["model"], path.get("version"), request.headers)

    async def _body(self, request: Request, asked: "Asked", limit: int) -> bytes:
        """Return the body, whose bytes are counted from their arrival."""
        length, body = int(request.headers.get("content-length", "0")), bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in request.stream():
                    length = max(length, len(body) + len(part))
                    if length <= limit:
                        asked.takes(len(part))
                        body += part
                    elif length > limit * 8:  # up to here it is dropped: a client that sends can then hear us
                        break
        except TimeoutError:
            raise Refused(408, f"the body did not arrive in {BODY_SECONDS:.0f} s; send it at once") from None
        if length <= limit:
            return bytes(body)
        raise Refused(413, f"the body is over {limit} bytes; send fewer rows at a time")
