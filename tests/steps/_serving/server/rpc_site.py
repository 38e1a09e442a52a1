"""The whole application with a model that adds, and its clients over gRPC and HTTP in this process."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import httpx
import numpy as np
from google.protobuf.message import Message
from grpc import aio

from colchis_steps._serving.config import Config, ServedModel
from colchis_steps._serving.server.access import Access
from colchis_steps._serving.server.app import Draining, app
from colchis_steps._serving.server.loaded import Registry
from colchis_steps._serving.server.predictions import Settings
from colchis_steps._serving.server.rpc import inference_pb2 as v2
from colchis_steps._serving.server.rpc import server
from colchis_steps._tensors.tensor import Arrays, Tensor, ValuesError

INFERENCE = "/inference.GRPCInferenceService"
SIGNATURE = {
    "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "2"}]}, "name": "x:0"}},
    "outputs": {"y": {"dtype": "DT_FLOAT", "name": "y:0"}},
    "method_name": "tensorflow/serving/predict",
}


TEXT = Tensor("t", "string", (None,))
INPUTS = {"t": TEXT, "x": Tensor("x", "float32", (None, 2))}
OUTPUTS = {"t": TEXT, "y": Tensor("y", "float32", (None,))}


class Adds:
    """Adds the two numbers of a row and repeats its text; refuses -1."""

    format = "onnx"
    rows_apart = steady = True
    classes = ()
    signature_def: Mapping[str, Any] = MappingProxyType({"serving_default": SIGNATURE})
    inputs: Mapping[str, Tensor] = MappingProxyType(INPUTS)
    outputs: Mapping[str, Tensor] = MappingProxyType(OUTPUTS)

    def __init__(self, path: Path, allowed: object = ()) -> None:
        del path, allowed

    def warm_up(self, _: object = ()) -> None:
        """Be warm at once."""

    def predict(self, arrays: Arrays) -> Arrays:
        if (arrays["x"] == -1).any():
            raise ValuesError("the model refuses these values: -1")
        return {"y": arrays["x"].sum(axis=1), "t": arrays["t"]}


Ask = Callable[[str, Message, Any], Awaitable[Any]]


def story(
    tell: Callable[[Ask, aio.Channel, httpx.AsyncClient], Awaitable[Any]],
    access: Access | None = None,
    draining: Draining | None = None,
    load: Any = None,
    ports: list[int] | None = None,
    **how: Any,
) -> Any:
    """Run what a client does beside the whole application; ``ports`` gets that of gRPC."""
    registry = Registry(load=load or cast(Any, Adds))
    registry.apply(Config({"m": ServedModel({1: "/one", 2: "/two"}, 1, labels={"canary": 2})}), "digest")
    draining, access = draining or Draining(), access or Access()
    ports = [] if ports is None else ports

    @contextlib.asynccontextmanager
    async def both() -> Any:
        def beside(predictions: Any) -> Any:
            return server.serving(predictions, "127.0.0.1:0", draining=draining, access=access, bound=ports.append)

        async def watch() -> None:
            await asyncio.Event().wait()

        made = app(registry, watch, Settings(**how), draining=draining, access=access, beside=beside)
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        told: asyncio.Queue[Any] = asyncio.Queue()
        await events.put({"type": "lifespan.startup"})
        running = asyncio.ensure_future(made({"type": "lifespan", "state": {}}, events.get, told.put))
        assert (await told.get())["type"] == "lifespan.startup.complete"
        async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://s") as client:
            yield client
        await events.put({"type": "lifespan.shutdown"})
        await running

    async def whole() -> Any:
        async with both() as client, aio.insecure_channel(f"127.0.0.1:{ports[0]}") as channel:

            async def ask(method: str, request: Message, answer: Any, **headers: str) -> Any:
                call: Any = channel.unary_unary(
                    method,
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=answer.FromString,
                )
                return await call(request, metadata=tuple(headers.items()), timeout=30)

            return await tell(cast(Ask, ask), channel, client)

    return asyncio.run(whole())


def infer(x: Any, text: bytes = b"a", **more: Any) -> v2.ModelInferRequest:
    rows = len(x)
    request = v2.ModelInferRequest(model_name="m", **more)
    request.inputs.add(name="x", datatype="FP32", shape=[rows, 2]).contents.fp32_contents.extend(np.ravel(x).tolist())
    request.inputs.add(name="t", datatype="BYTES", shape=[rows]).contents.bytes_contents.extend([text] * rows)
    return request


async def code(asked: Awaitable[Any]) -> str:
    try:
        await asked
    except aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def live(address: str) -> bool:
    """Ask a server whether it lives, once it is there."""
    async with aio.insecure_channel(address) as channel:
        ask: Any = channel.unary_unary(f"{INFERENCE}/ServerLive")
        answer = await ask(b"", timeout=60, wait_for_ready=True)
    return bool(v2.ServerLiveResponse.FromString(answer).live)
