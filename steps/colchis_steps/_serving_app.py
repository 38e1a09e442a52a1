"""The embedded server's routes: V1, V2, health, metrics and the pages, on Starlette.

Whatever is wrong with a request is answered with ``{"error": "one sentence"}`` and a 4xx status. Reading JSON and
calling the model happen in a few threads, so that health and small requests are answered while a big one is at work.
"""

import asyncio
import contextlib
import importlib.metadata
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from colchis_steps import _serving_pages, _serving_protocol
from colchis_steps._serving_model import Refused, Tensor
from colchis_steps._serving_protocol import Question
from colchis_steps._serving_registry import Registry, Version

Watch = Callable[[], Awaitable[None]]
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def app(registry: Registry, watch: Watch, *, threads: int = 2, body_limit: int = 32 << 20) -> Starlette:
    """Build the application.

    Args:
        registry: the models.
        watch: keeps the registry as configured, until it is cancelled.
        threads: how many requests are at work at once.
        body_limit: bytes of the largest body; a larger one is answered with 413.
    """
    routes = _Routes(registry, ThreadPoolExecutor(threads, "predict"), body_limit)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watching = asyncio.ensure_future(watch())
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    register_url_convertor("model", _NameConvertor())
    v1, v2 = "/v1/models/{model:model}", "/v2/models/{model:model}"
    return Starlette(
        lifespan=lifespan,
        exception_handlers={Refused: _refused, HTTPException: _http_error, 500: _our_bug},
        routes=[
            Route("/", routes.overview),
            Route("/board", routes.board),
            Route("/board/{model}", routes.board),
            Route("/metrics", routes.metrics),
            Route("/v1/models", routes.models),
            *[
                Route(f"{path}:predict", routes.predict_v1, methods=["POST"])
                for path in (v1, f"{v1}/versions/{{version}}")
            ],
            *[Route(f"{path}/metadata", routes.metadata_v1) for path in (v1, f"{v1}/versions/{{version}}")],
            *[Route(path, routes.status_v1) for path in (v1, f"{v1}/versions/{{version}}")],
            Route("/v2", routes.server_v2),
            Route("/v2/health/live", routes.live),
            Route("/v2/health/ready", routes.ready),
            *[Route(f"{path}/infer", routes.infer_v2, methods=["POST"]) for path in (v2, f"{v2}/versions/{{version}}")],
            *[Route(f"{path}/ready", routes.model_ready) for path in (v2, f"{v2}/versions/{{version}}")],
            *[Route(path, routes.metadata_v2) for path in (v2, f"{v2}/versions/{{version}}")],
        ],
    )


class _NameConvertor(StringConvertor):
    regex = "[^/:]+"  # so that a GET of NAME:predict is a wrong method and not an unknown model


class _Routes:
    """The routes' functions; what they share is the registry, the threads and the metrics."""

    def __init__(self, registry: Registry, pool: ThreadPoolExecutor, body_limit: int) -> None:
        self.registry, self.pool, self.body_limit = registry, pool, body_limit
        self.collected = CollectorRegistry()
        names = ("model", "version", "code")
        self.requests = Counter("colchis_requests", "Predictions asked for.", names, registry=self.collected)
        self.seconds = Histogram(
            "colchis_request_seconds",
            "Seconds from a request's head to its answer.",
            names[:2],
            buckets=BUCKETS,
            registry=self.collected,
        )

    async def predict_v1(self, request: Request) -> Response:
        return await self._answer(request, lambda body, version: _serving_protocol.read_v1(body, version.saved.inputs))

    async def infer_v2(self, request: Request) -> Response:
        def read(body: bytes, version: Version) -> Question:
            question = _serving_protocol.read_v2(body, version.saved.inputs, version.saved.outputs)
            head = {"model_name": version.model, "model_version": str(version.number)}
            return Question(question.arrays, lambda outputs: head | question.write(outputs))

        return await self._answer(request, read)

    async def _answer(self, request: Request, read: Callable[[bytes, Version], Question]) -> Response:
        started, code, labels = time.perf_counter(), 500, ("", "")  # a client's words never become labels
        try:
            version = self._find(request)
            labels = (version.model, str(version.number))
            body = await self._body(request)

            def work() -> bytes:
                question = read(body, version)
                return msgspec.json.encode(question.write(version.saved.predict(question.arrays)))

            content = await asyncio.get_running_loop().run_in_executor(self.pool, work)
            code = 200
            return Response(content, media_type="application/json")
        except Refused as refused:
            code = refused.status
            raise
        finally:
            self.requests.labels(*labels, str(code)).inc()
            self.seconds.labels(*labels).observe(time.perf_counter() - started)

    def _find(self, request: Request) -> Version:
        return self.registry.find(request.path_params["model"], request.path_params.get("version"))

    async def _body(self, request: Request) -> bytes:
        length, body = int(request.headers.get("content-length", "0")), bytearray()
        async for part in request.stream():
            length = max(length, len(body) + len(part))
            if length <= self.body_limit:
                body += part
            elif (
                length > self.body_limit * 8
            ):  # up to here it is read and dropped: a client that sends can then hear us
                break
        if length <= self.body_limit:
            return bytes(body)
        raise Refused(413, f"the body is over {self.body_limit} bytes; send fewer rows at a time")

    async def status_v1(self, request: Request) -> Response:
        states = self.registry.states(request.path_params["model"], request.path_params.get("version"))
        return _json(
            {
                "model_version_status": [
                    {
                        "version": str(number),
                        "state": state,
                        "status": {"error_code": "INVALID_ARGUMENT" if error else "OK", "error_message": error},
                    }
                    for number, state, error in states
                ]
            }
        )

    async def metadata_v1(self, request: Request) -> Response:
        version = self._find(request)
        return _json(
            {
                "model_spec": {"name": version.model, "signature_name": "", "version": str(version.number)},
                "metadata": {"signature_def": {"signature_def": version.saved.signature_def}},
            }
        )

    async def models(self, _: Request) -> Response:
        return _json({"models": sorted(self.registry.held)})

    async def server_v2(self, _: Request) -> Response:
        return _json(
            {
                "name": "colchis",
                "version": importlib.metadata.version("colchis"),
                "extensions": [],
                "configuration": self.registry.applied,
            }
        )

    async def live(self, _: Request) -> Response:
        return _json({"live": True})

    async def ready(self, _: Request) -> Response:
        return _json({"ready": self.registry.ready}, 200 if self.registry.ready else 503)

    async def model_ready(self, request: Request) -> Response:
        version = self._find(request)
        return _json({"name": version.model, "ready": True})

    async def metadata_v2(self, request: Request) -> Response:
        version = self._find(request)
        parameters = {name: msgspec.to_builtins(found) for name, found in version.served.inputs.items()}
        return _json(
            {
                "name": version.model,
                "versions": [str(number) for number in sorted(self.registry.held[version.model].versions)],
                "platform": "tensorflow_savedmodel",
                "inputs": [_tensor(tensor, parameters.get(tensor.name)) for tensor in version.saved.inputs.values()],
                "outputs": [_tensor(tensor, None) for tensor in version.saved.outputs.values()],
                "parameters": {
                    "version": str(version.number),
                    "tree": version.served.tree,
                    "classes": list(version.served.classes),
                },
            }
        )

    async def overview(self, _: Request) -> Response:
        return HTMLResponse(_serving_pages.overview(self.registry), headers=_serving_pages.HEADERS)

    async def board(self, request: Request) -> Response:
        if (model := request.path_params.get("model")) is None:
            return RedirectResponse(f"/board/{_serving_pages.board_of(self.registry)}")
        return HTMLResponse(_serving_pages.board(self.registry, model), headers=_serving_pages.HEADERS)

    async def metrics(self, _: Request) -> Response:
        return Response(generate_latest(self.collected), media_type=CONTENT_TYPE_LATEST)


def _tensor(tensor: Tensor, parameters: Any) -> dict[str, Any]:
    shape = [-1 if length is None else length for length in tensor.shape]
    found = {"name": tensor.name, "datatype": _serving_protocol.DATATYPES[tensor.dtype], "shape": shape}
    return found | ({"parameters": parameters} if parameters else {})


def _json(value: Any, status: int = 200, headers: Any = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def _refused(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, Refused) else 500
    return _json({"error": str(error)}, status, {"Retry-After": "1"} if status == 503 else None)


def _http_error(request: Request, error: Exception) -> Response:
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    path = request.url.path[:256]
    known = {404: f"there is nothing at {path}; see / for what is here", 405: f"{request.method} does not go at {path}"}
    return _json({"error": known.get(status, str(error))}, status, headers)


def _our_bug(_: Request, __: Exception) -> Response:
    return _json({"error": "the server failed on this request; its log says why"}, 500)
