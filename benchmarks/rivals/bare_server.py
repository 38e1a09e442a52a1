"""What grpc itself costs: its asyncio server on uvloop, which reads nothing and gives one answer. Argument: port."""

import sys

import grpc
import uvloop

from colchis_steps._serving.server.rpc import inference_pb2


async def main() -> None:
    """Serve."""
    answer = inference_pb2.ModelInferResponse(model_name="m", raw_output_contents=[bytes(40)])
    answer.outputs.add(name="probability", datatype="FP32", shape=[1, 10])
    content = answer.SerializeToString()

    async def given(_: bytes, __: object) -> bytes:
        return content

    server = grpc.aio.server()
    methods = {"ModelInfer": grpc.unary_unary_rpc_method_handler(given)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main())
