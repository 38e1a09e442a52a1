"""The embedded server's routes: V1, V2, health, metrics and the pages, on Starlette.

Whatever is wrong with a request is answered with ``{"error": "one sentence", "code": "NOT_FOUND"}`` and a 4xx status.
Calling a model that takes long and reading large JSON happen in threads, so that health is answered meanwhile.
"""

import asyncio
import contextlib
import importlib.metadata
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from colchis_steps._serving.server import pages, protocol
from colchis_steps._serving.server.access import ASKED, PREFLIGHT, Access
from colchis_steps._serving.server.loaded import Registry, Version
from colchis_steps._serving.server.predictions import Predictions, Settings
from colchis_steps._serving.server.refusals import CODES, Refused
from colchis_steps._tensors.formats import PLATFORMS
from colchis_steps._tensors.tensor import Tensor

if TYPE_CHECKING:
    from colchis_steps._serving.server.metrics import Metrics
    from colchis_steps._serving.server.request_log import Sampler

Watch = Callable[[], Awaitable[None]]
Beside = Callable[[Predictions], contextlib.AbstractAsyncContextManager[None]]


@dataclass
class Draining:
    """Whether the server is about to end: it is not ready then, and asks clients to go elsewhere."""

    now: bool = False


def app(
    registry: Registry,
    watch: Watch,
    settings: Settings | None = None,
    *,
    draining: Draining | None = None,
    logging_to: "Callable[[Metrics], Sampler] | None" = None,
    access: Access | None = None,
    beside: Beside | None = None,
) -> ASGIApp:
    """Build the application.

    Args:
        registry: the models.
        watch: keeps the registry as configured, until it is cancelled.
        settings: how much is taken on at once; more is refused with 413 or 429.
        draining: is set when the server is about to end.
        logging_to: gives what keeps a sample of the requests.
        access: who may ask; without it everybody.
        beside: gives what else serves the same models while this does, such as gRPC.
    """
    access = access or Access()
    draining = draining or Draining()
    predictions = Predictions(registry, settings or Settings(), logging_to)
    routes = _Routes(predictions, draining)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watching = asyncio.ensure_future(watch())
        try:
            async with beside(predictions) if beside else contextlib.nullcontext():
                yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            await predictions.close()

    register_url_convertor("model", _NameConvertor())
    v1, v2 = "/v1/models/{model:model}", "/v2/models/{model:model}"

    def named(path: str) -> tuple[str, str, str]:
        return path, f"{path}/versions/{{version:model}}", f"{path}/labels/{{label:model}}"

    application = Starlette(
        lifespan=lifespan,
        exception_handlers={Refused: _refused, HTTPException: _http_error, 500: _our_bug},
        routes=[
            *[Route(f"{path}:predict", predictions.v1, methods=["POST"]) for path in named(v1)],
            *[Route(f"{path}/infer", predictions.v2, methods=["POST"]) for path in named(v2)],
            *[Route(f"{path}:{verb}", no_verb, methods=["POST"]) for path in named(v1) for verb in OTHER_VERBS],
            Route("/", routes.overview),
            Route("/board", routes.board),
            Route("/board/{model}", routes.board),
            Route("/metrics", routes.metrics),
            Route("/v1/models", routes.models),
            *[Route(f"{path}/metadata", routes.metadata_v1) for path in named(v1)],
            *[Route(path, routes.status_v1) for path in named(v1)],
            Route("/v2", routes.server_v2),
            Route("/v2/health/live", routes.live),
            Route("/v2/health/ready", routes.ready),
            *[Route(f"{path}/ready", routes.model_ready) for path in named(v2)],
            *[Route(path, routes.metadata_v2) for path in named(v2)],
        ],
    )

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a prediction without the routes, which are tried in turn and for small models take as long."""
        request = Request(scope, receive)
        answer = predictions.v1 if scope["path"].startswith("/v1") else predictions.v2
        try:
            response = await answer(request)
        except Refused as refused:
            response = _refused(request, refused)
        await response(scope, receive, send)

    asking = ServerErrorMiddleware(asked, _our_bug)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        """Let in who may ask; while draining ask for the connection's end with each answer, so that none is lost."""
        if scope["type"] != "http":
            return await application(scope, receive, send)
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in ASKED}
        more = [(name.lower().encode(), value.encode("latin-1")) for name, value in access.told(headers).items()]

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and (more or draining.now):
                closing = [(b"connection", b"close")] if draining.now else []
                message["headers"] = [*message["headers"], *more, *closing]
            await send(message)

        try:
            access.check(scope["method"], scope["path"], headers)
        except Refused as refused:
            return await _refused(Request(scope), refused)(scope, receive, sent)
        if scope["method"] == "POST" and (found := PREDICTION.fullmatch(scope["path"])):
            scope["path_params"] = {name: value for name, value in found.groupdict().items() if value}
            return await asking(scope, receive, sent)
        if scope["method"] == "OPTIONS" and more:
            return await Response(status_code=204, headers=PREFLIGHT)(scope, receive, sent)
        return await application(scope, receive, sent)

    return guarded


PREDICTION = re.compile(
    r"/v(?:1(?=.*:predict$)|2(?=.*/infer$))/models/(?P<model>[^/:]+)"
    r"(?:/versions/(?P<version>[^/:]+)|/labels/(?P<label>[^/:]+))?(?::predict|/infer)"
)
OTHER_VERBS = ("classify", "regress")  # of V1


async def no_verb(request: Request) -> Response:
    """Answer V1's other verbs, which take rows as tf.Example messages."""
    verb = request.url.path.rpartition(":")[2]
    raise Refused(400, f":{verb} takes examples, which no model here does; send the inputs by name to :predict")


class _NameConvertor(StringConvertor):
    regex = "[^/:]+"  # so that a GET of NAME:predict is a wrong method and not an unknown model


class _Routes:
    """The functions of the other routes."""

    def __init__(self, predictions: Predictions, draining: Draining) -> None:
        self.registry, self.predictions, self.draining = predictions.registry, predictions, draining

    def _find(self, request: Request) -> Version:
        if label := request.path_params.get("label"):
            return self.registry.labelled(request.path_params["model"], label)
        return self.registry.find(request.path_params["model"], request.path_params.get("version"))

    async def status_v1(self, request: Request) -> Response:
        path = request.path_params
        version = str(self._find(request).number) if "label" in path else path.get("version")
        states = self.registry.states(path["model"], version)
        return _json(
            {
                "name": path["model"],  # this and the next are what KServe's client asks for
                "ready": any(state == "AVAILABLE" for _, state, _ in states),
                "model_version_status": [
                    {
                        "version": str(number),
                        "state": state,
                        "status": {"error_code": "INVALID_ARGUMENT" if error else "OK", "error_message": error},
                    }
                    for number, state, error in states
                ],
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
        ready = self.registry.ready and not self.draining.now
        return _json({"ready": ready}, 200 if ready else 503)

    async def model_ready(self, request: Request) -> Response:
        version = self._find(request)
        return _json({"name": version.model, "ready": True})

    async def metadata_v2(self, request: Request) -> Response:
        version = self._find(request)
        parameters: dict[str, dict[str, Any]] = {}
        for told in (version.served.inputs, version.served.columns):
            for name, known in told.items():
                parameters.setdefault(name, {}).update(msgspec.to_builtins(known))
        return _json(
            {
                "name": version.model,
                "versions": [str(number) for number in sorted(self.registry.held[version.model].versions)],
                "platform": PLATFORMS[version.saved.format],
                "inputs": [_tensor(tensor, parameters.get(tensor.name)) for tensor in version.saved.inputs.values()],
                "outputs": [_tensor(tensor, None) for tensor in version.saved.outputs.values()],
                "parameters": {
                    "version": str(version.number),
                    "tree": version.served.tree,
                    "classes": list(version.served.classes),
                    "task": version.served.task,
                    "targets": list(version.served.targets),
                },
            }
        )

    async def overview(self, request: Request) -> Response:
        if "html" not in request.headers.get("accept", ""):
            return _json({"status": "alive"})  # as V1 of KServe has it
        return HTMLResponse(pages.overview(self.registry), headers=pages.HEADERS)

    async def board(self, request: Request) -> Response:
        if (model := request.path_params.get("model")) is None:
            return RedirectResponse(f"/board/{pages.board_of(self.registry)}")
        page = pages.board(self.registry, model, form="form" in request.query_params)
        return HTMLResponse(page, headers=pages.HEADERS)

    async def metrics(self, _: Request) -> Response:
        return Response(self.predictions.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _tensor(tensor: Tensor, parameters: Any) -> dict[str, Any]:
    shape = [-1 if length is None else length for length in tensor.shape]
    found = {"name": tensor.name, "datatype": protocol.DATATYPES[tensor.dtype], "shape": shape}
    return found | ({"parameters": parameters} if parameters else {})


def _json(value: Any, status: int = 200, headers: Any = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def _error(status: int, sentence: str, headers: Any = None) -> Response:
    return _json({"error": sentence, "code": CODES.get(status, "INTERNAL")}, status, headers)


def _refused(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, Refused) else 500
    headers = {"Retry-After": "1"} if status in {408, 429, 503} else None
    return _error(status, str(error), {"WWW-Authenticate": "Bearer"} if status == 401 else headers)


def _http_error(request: Request, error: Exception) -> Response:
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    path = request.url.path[:256]
    known = {404: f"there is nothing at {path}; see / for what is here", 405: f"{request.method} does not go at {path}"}
    return _error(status, known.get(status, str(error)), headers)


def _our_bug(_: Request, __: Exception) -> Response:
    return _error(500, "the server failed on this request; its log says why")
