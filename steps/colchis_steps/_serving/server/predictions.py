"""How the embedded server answers predictions: read, check, batch, write, count, and keep a sample where asked to.

Calling the model and reading large JSON happen in threads, so that health and small requests are answered meanwhile.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
        started, code, labels = time.perf_counter(), 500, ("", "")  # a client's words never become labels
        held = [0]
        try:
            version = self._meant(request)
            labels = (version.model, str(version.number))
            most = limits.body_limit(version.saved.inputs, self.settings.rows, self.settings.body)
            body, encoding = await self._body(request, held, most), request.headers.get("content-encoding", "")

            def question_of() -> Question:
                plain = encodings.unpacked(body, encoding, most)
                if len(plain) > SMALL:
                    document, _ = binary.divided(plain, request.headers)
                    limits.check_body(document, version.saved.inputs, self.settings.rows)
                return read(plain, version)

            if len(body) <= SMALL and not encoding:
                question = self._few(question_of())
            else:
                question = self._few(await asyncio.get_running_loop().run_in_executor(self.readers, question_of))

            def answer(outputs: Arrays) -> Response:
                limits.check_answer(outputs, self.settings.answer)
                content, about = binary.joined(question.write(outputs))
                content, packing = encodings.packed(content, request.headers)
                if self.sampler:
                    self.sampler.offer(version.model, version.number, question.arrays, outputs)
                headers = {"Content-Type": "application/json", **about, **packing, ANSWERED_BY: labels[1]}
                return Response(content, headers=headers)

            try:
                response: Response = await self.batcher.predict(version.saved, labels, question.arrays, answer)
            except ValuesError as error:
                raise Refused(400, str(error)) from error
            code = 200
        except Refused as refused:
            code = refused.status
            raise
        except ClientDisconnect:
            code = 499
            return Response(status_code=code)  # nobody reads it
        else:
            return response
        finally:
            self.in_hand -= held[0]
            self.metrics.requests.labels(*labels, str(code)).inc()
            if request.path_params.keys() & {"version", "label"} or OVERRIDE in request.headers:
                self.metrics.named.labels(*labels, str(code)).inc()
            self.metrics.seconds.labels(*labels).observe(time.perf_counter() - started)

    def _few(self, question: Question) -> Question:
        rows = max((len(array) for array in question.arrays.values() if array.ndim), default=0)
        if rows > self.settings.rows:
            raise Refused(413, f"the request has {rows} rows; send at most {self.settings.rows} at a time")
        return question

    def _meant(self, request: Request) -> Version:
        path = request.path_params
        if label := path.get("label"):
            return self.registry.labelled(path["model"], label)
        return self.registry.find(path["model"], path.get("version"), request.headers)

    async def _body(self, request: Request, held: list[int], limit: int) -> bytes:
        """Return the body; ``held`` and ``in_hand`` count its bytes from their arrival."""
        length, body = int(request.headers.get("content-length", "0")), bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in request.stream():
                    length = max(length, len(body) + len(part))
                    if self.in_hand + len(part) > IN_HAND * self.settings.body:
                        raise Refused(429, f"{self.in_hand} bytes of other requests are in memory; ask again later")
                    if length <= limit:
                        body += part
                        held[0] += len(part)
                        self.in_hand += len(part)
                    elif length > limit * 8:  # up to here it is dropped: a client that sends can then hear us
                        break
        except TimeoutError:
            raise Refused(408, f"the body did not arrive in {BODY_SECONDS:.0f} s; send it at once") from None
        if length <= limit:
            return bytes(body)
        raise Refused(413, f"the body is over {limit} bytes; send fewer rows at a time")
