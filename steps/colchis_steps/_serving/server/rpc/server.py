"""The gRPC server: a port of its own in the HTTP server's event loop, with the same batches, limits and counts."""

import asyncio
import contextlib
import functools
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from colchis_steps._serving.server.access import Access
from colchis_steps._serving.server.app import Draining
from colchis_steps._serving.server.connections import most_connections
from colchis_steps._serving.server.loaded import OVERRIDE, Registry, Version
from colchis_steps._serving.server.predictions import ANSWERED_BY, SMALL, Asked, Predictions
from colchis_steps._serving.server.refusals import CODES, Refused
from colchis_steps._serving.server.rpc import inference_pb2, open_inference, serving_pb2, tensorflow_serving
from colchis_steps._serving.server.rpc.calls import Calls, Context
from colchis_steps._tensors.tensor import Arrays

DRAIN = 20.0  # seconds that requests have to end
LOOK = 0.1  # seconds between looks at whether to end
REFUSING = 1.0  # seconds; grpc cancels a call that comes as it stops, and clients take that for their own wish
log = logging.getLogger("colchis")
EXTRA = 64 << 10  # bytes of a message beside its tensors
CONNECTIONS, STREAMS = 1024, 256
SHARE = 0.25  # of the files that this process may open, for connections
IDLE, HANDSHAKE = 300_000, 10_000  # milliseconds
AGE, GRACE = 600_000, 60_000  # milliseconds; a client that never takes its answers holds them for so long
# A server of grpc's takes one call at a time, and the next once the event loop has turned: calls of many connections
# would come one by one, and share no batch. So some share the port. Elsewhere the system may give all to one.
LISTENERS = 8 if sys.platform == "linux" else 1

Handler = Callable[[bytes, dict[str, str], Context], Awaitable[Any]]


@contextlib.asynccontextmanager
async def serving(
    predictions: Predictions, address: str, *, draining: Draining, access: Access, bound: Callable[[int], None]
) -> AsyncIterator[None]:
    """Serve at the address while the context lasts; requests in flight are answered at its end.

    ``bound`` is told the port.
    """
    calls = Calls(predictions.settings.batch.waiting * 2)
    handlers = []
    for name, methods in _Services(predictions, draining, access).handlers().items():
        answering: dict[str, Any] = {
            method: grpc.stream_unary_rpc_method_handler(_answering(its, calls)) for method, its in methods.items()
        }
        handlers.append(grpc.method_handlers_generic_handler(name, answering))
    options = [
        ("grpc.max_receive_message_length", predictions.settings.body + EXTRA),
        ("grpc.max_send_message_length", -1),  # the answer has a bound of its own
        ("grpc.max_concurrent_streams", STREAMS),
        ("grpc.max_allowed_incoming_connections", most_connections(SHARE, CONNECTIONS) // LISTENERS),
        ("grpc.max_connection_idle_ms", IDLE),
        ("grpc.max_connection_age_ms", AGE),
        ("grpc.max_connection_age_grace_ms", GRACE),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE),
        ("grpc.so_reuseport", int(LISTENERS > 1)),
    ]
    servers = [aio.server(handlers=handlers, options=options) for _ in range(LISTENERS)]
    port = servers[0].add_insecure_port(address)
    for server in servers[1:]:
        server.add_insecure_port(f"{address.rpartition(':')[0]}:{port}")
    await asyncio.gather(*[server.start() for server in servers])
    bound(port)
    ending = asyncio.ensure_future(_stopped(servers, draining, calls))
    try:
        yield
    finally:
        draining.now = True
        await ending


async def _stopped(servers: Sequence[aio.Server], draining: Draining, calls: Calls) -> None:
    """End late calls, and all once the server drains: new ones are refused, so that clients go elsewhere."""
    while not draining.now:
        await asyncio.sleep(LOOK)
        calls.end_late()
    await asyncio.sleep(REFUSING)
    await asyncio.gather(*[server.stop(DRAIN) for server in servers])


def _answering(handler: Handler, calls: Calls) -> Callable[[object, Context], Awaitable[bytes]]:
    """Return what grpc calls once a call's head is there: the message is read here, so that it can be late."""

    async def answer(_: object, context: Context) -> bytes:
        headers: dict[str, Any] = dict(context.invocation_metadata() or ())  # names are in lower case in HTTP/2
        calls.at_work += 1
        try:
            found = await handler(await calls.message(context), headers, context)
        except aio.AbortError:
            raise  # the call was late, and has been told
        except Refused as refused:
            code = grpc.StatusCode[CODES.get(refused.status, "INTERNAL")]
            await context.abort(code, str(refused))
        except Exception:
            log.exception("the server failed on a request over gRPC")
            await context.abort(grpc.StatusCode.INTERNAL, "the server failed on this request; its log says why")
        finally:
            calls.at_work -= 1
        return found if isinstance(found, bytes) else bytes(found.SerializeToString())

    return answer


class Spoken(Protocol):
    """A protocol's messages of a prediction, as its module has them."""

    Request: Any

    def model(self, request: Any) -> str:
        """Return the name of the model that is asked."""

    def named(self, request: Any) -> bool:
        """Return whether the request names the version."""

    def meant(self, registry: Registry, request: Any, headers: Mapping[str, str]) -> Version:
        """Return the version that a request means."""

    def read(self, request: Any, version: Version) -> tuple[Arrays, list[str]]:
        """Return the inputs, and the names of the outputs that are asked for."""

    def write(self, request: Any, version: Version, names: list[str], outputs: Arrays) -> Any:
        """Return the answer's message."""


class _Services:
    """The methods of the services, each from a message's bytes to its answer's."""

    def __init__(self, predictions: Predictions, draining: Draining, access: Access) -> None:
        self.predictions, self.registry = predictions, predictions.registry
        self.draining, self.access = draining, access

    def handlers(self) -> dict[str, dict[str, Handler]]:
        """Return the methods by service."""
        return {
            "inference.GRPCInferenceService": {
                "ModelInfer": functools.partial(self.computed, open_inference),
                "ModelMetadata": self.model_metadata,
                "ModelReady": self.model_ready,
                "ServerLive": self.live,
                "ServerMetadata": self.server_metadata,
                "ServerReady": self.ready,
            },
            "tensorflow.serving.PredictionService": {
                "Predict": functools.partial(self.computed, tensorflow_serving),
                "GetModelMetadata": self.tf_metadata,
            },
            "tensorflow.serving.ModelService": {"GetModelStatus": self.tf_status},
        }

    async def computed(self, spoken: Spoken, content: bytes, headers: dict[str, str], context: Context) -> bytes:
        if self.draining.now:
            raise Refused(503, "the server is about to end; ask again, and another one answers")
        small = len(content) <= SMALL
        request = await self.predictions.read(lambda: _parse(spoken.Request(), content), small=small)
        with Asked(self.predictions, spoken.named(request) or OVERRIDE in headers) as asked:
            asked.takes(len(content))
            self._may(spoken.model(request), headers)
            version = asked.meant(spoken.meant(self.registry, request, headers))
            arrays, names = await self.predictions.read(lambda: spoken.read(request, version), small=small)

            def write(outputs: Arrays) -> bytes:
                return bytes(spoken.write(request, version, names, outputs).SerializeToString())

            answer: bytes = await self.predictions.compute(version, arrays, write)
            context.set_trailing_metadata(((ANSWERED_BY.lower(), str(version.number)),))
        return answer

    async def model_metadata(self, content: bytes, headers: dict[str, str], _: Context) -> Any:
        request = _parse(inference_pb2.ModelMetadataRequest(), content)
        self._may(request.name, headers)
        version = self.registry.find(request.name, request.version or None)
        return open_inference.metadata(version, self.registry.held[version.model].versions.keys())

    async def model_ready(self, content: bytes, headers: dict[str, str], _: Context) -> Any:
        request = _parse(inference_pb2.ModelReadyRequest(), content)
        self._may(request.name, headers)
        try:
            self.registry.find(request.name, request.version or None)
        except Refused as refused:
            if refused.status != 503:
                raise
            return inference_pb2.ModelReadyResponse(ready=False)
        return inference_pb2.ModelReadyResponse(ready=True)

    async def live(self, *_: object) -> Any:
        return inference_pb2.ServerLiveResponse(live=True)

    async def ready(self, *_: object) -> Any:
        ready = self.registry.ready and not self.draining.now
        return inference_pb2.ServerReadyResponse(ready=ready)

    async def server_metadata(self, *_: object) -> Any:
        return open_inference.server()

    async def tf_metadata(self, content: bytes, headers: dict[str, str], _: Context) -> Any:
        request = _parse(serving_pb2.GetModelMetadataRequest(), content)
        self._may(request.model_spec.name, headers)
        return tensorflow_serving.metadata(
            request, tensorflow_serving.version_of(self.registry, request.model_spec, None)
        )

    async def tf_status(self, content: bytes, headers: dict[str, str], _: Context) -> Any:
        request = _parse(serving_pb2.GetModelStatusRequest(), content)
        self._may(request.model_spec.name, headers)
        return tensorflow_serving.status(self.registry, request.model_spec)

    def _may(self, model: str, headers: dict[str, str]) -> None:
        if self.access.tokens:
            self.access.tokens.check(headers.get("authorization", ""), model)


def _parse(message: Any, content: bytes) -> Any:
    """Return the message with what the bytes say. Raises Refused (400)."""
    try:
        message.ParseFromString(content)
    except DecodeError as error:
        raise Refused(400, "the message is damaged; make the client's stubs again") from error
    return message
