"""How the embedded server answers predictions: read, check, batch, write, count, and keep a sample where asked to.

Calling a model that takes long and reading large JSON happen in threads, so that health and small requests are answered
meanwhile; what takes little is done in the event loop, as handing it over would cost more.
"""

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from colchis_steps._serving.server import binary, encodings, limits, protocol
from colchis_steps._serving.server.batch import Batcher, Limits
from colchis_steps._serving.server.connections import WHOLE
from colchis_steps._serving.server.loaded import OVERRIDE, Registry, Version
from colchis_steps._serving.server.metrics import Metrics
from colchis_steps._serving.server.protocol import Question
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._tensors.tensor import Arrays, Program, ValuesError

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
    """A request that is being answered: whose it is, and the bytes of it that are in memory.

    As a context it is counted and timed, however it ends; ``named`` says that it names the version.
    """

    of: "Predictions"
    named: bool
    labels: tuple[str, str] = ("", "")  # model and version; a client's words never become labels
    held: int = 0
    since: float = field(default_factory=time.perf_counter)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        code = 200 if error is None else 500
        if isinstance(error, Refused):
            code = error.status
        elif isinstance(error, ClientDisconnect):
            code = 499
        self.of.in_hand -= self.held
        self.of.metrics.request(self.labels, code, time.perf_counter() - self.since, named=self.named)

    def meant(self, version: Version) -> Version:
        """Note the version, and return it."""
        self.labels = version.labels
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
        self._body_limits: weakref.WeakKeyDictionary[Program, int] = weakref.WeakKeyDictionary()

    async def close(self) -> None:
        """Write what is sampled."""
        if self.sampler:
            await asyncio.to_thread(self.sampler.close)

    async def v1(self, request: Request) -> Response:
        """Answer a V1 request."""
        return await self._answer(request, lambda body, version, _: protocol.read_v1(body, version.columns))

    async def v2(self, request: Request) -> Response:
        """Answer a V2 request, whose tensors may stand behind the JSON."""

        def read(body: bytes, version: Version, headers: Mapping[str, str]) -> Question:
            document, rest = binary.divided(body, headers)
            question = protocol.read_v2(document, version.columns, version.saved.outputs, rest)
            head = {"model_name": version.model, "model_version": str(version.number)}
            return Question(question.arrays, lambda outputs: head | question.write(outputs))

        return await self._answer(request, read)

    async def _answer(
        self, request: Request, read: Callable[[bytes, Version, Mapping[str, str]], Question]
    ) -> Response:
        headers = dict(reversed(request.headers.items()))  # of two the first; to look them up there goes through all
        named = bool(request.path_params.keys() & {"version", "label"}) or OVERRIDE in headers
        try:
            with Asked(self, named) as asked:
                version = asked.meant(self._meant(request.path_params, headers))
                most = self._body_limit(version.saved)
                length = int(headers.get("content-length", "0"))
                body, encoding = await self._body(request, asked, length, most), headers.get("content-encoding", "")

                def question_of() -> Question:
                    plain = encodings.unpacked(body, encoding, most)
                    if len(plain) > SMALL:
                        document, _ = binary.divided(plain, headers)
                        limits.check_body(document, version.saved.inputs, self.settings.rows)
                    return read(plain, version, headers)

                question = await self.read(question_of, small=len(body) <= SMALL and not encoding)

                def answer(outputs: Arrays) -> Response:
                    content, about = binary.joined(question.write(outputs))
                    content, packing = encodings.packed(content, headers)
                    named_by = {ANSWERED_BY: str(version.number)}
                    return Response(
                        content, headers={"Content-Type": "application/json", **about, **packing, **named_by}
                    )

                response: Response = await self.compute(version, question.arrays, answer)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        return response

    async def read(self, read: Callable[[], T], *, small: bool) -> T:
        """Read a request: in a thread, where it is not small."""
        return read() if small else await asyncio.get_running_loop().run_in_executor(self.readers, read)

    async def compute(self, version: Version, arrays: Arrays, write: Callable[[Arrays], Any]) -> Any:
        """Return what ``write`` makes of the outputs, where the batch is computed, after they are held to their bound.

        Raises:
            Refused: 413 for too many rows or too long an answer, 429 where too many requests wait, 400 where the model
                refuses the values.
        """
        rows = max([len(array) for array in arrays.values() if array.ndim], default=0)
        if rows > self.settings.rows:
            raise Refused(413, f"the request has {rows} rows; send at most {self.settings.rows} at a time")

        def answer(outputs: Arrays) -> Any:
            limits.check_answer(outputs, self.settings.answer)
            written = write(outputs)
            if self.sampler:
                self.sampler.offer(version.model, version.number, arrays, outputs)
            return written

        try:
            return await self.batcher.predict(version.saved, version.labels, arrays, answer)
        except ValuesError as error:
            raise Refused(400, str(error)) from error

    def _meant(self, path: Mapping[str, str], headers: Mapping[str, str]) -> Version:
        if label := path.get("label"):
            return self.registry.labelled(path["model"], label)
        return self.registry.find(path["model"], path.get("version"), headers)

    def _body_limit(self, model: Program) -> int:
        """Return how many bytes a body to the model may have."""
        if (found := self._body_limits.get(model)) is None:
            found = limits.body_limit(model.inputs, self.settings.rows, self.settings.body)
            self._body_limits[model] = found
        return found

    async def _body(self, request: Request, asked: "Asked", length: int, limit: int) -> bytes:
        """Return the body, said to have ``length`` bytes, which are counted from their arrival."""
        body = bytearray()
        try:
            async with contextlib.nullcontext() if WHOLE in request.scope else asyncio.timeout(BODY_SECONDS):
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
