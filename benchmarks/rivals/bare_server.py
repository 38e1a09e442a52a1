"""What grpc itself costs: its asyncio servers on uvloop, which read nothing and give one answer. Argument: port."""

import sys

import grpc
import uvloop

from colchis_steps._serving.server.rpc import inference_pb2
from colchis_steps._serving.server.rpc.server import LISTENERS


async def main() -> None:
    """Serve."""
    answer = inference_pb2.ModelInferResponse(model_name="m", raw_output_contents=[bytes(40)])
    answer.outputs.add(name="probability", datatype="FP32", shape=[1, 10])
    content = answer.SerializeToString()

    async def given(_: bytes, __: object) -> bytes:
        return content

    methods = {"ModelInfer": grpc.unary_unary_rpc_method_handler(given)}
    handlers = [grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)]
    servers = [grpc.aio.server(handlers=handlers) for _ in range(LISTENERS)]
    for server in servers:
        server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
        await server.start()
    await servers[0].wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main())
