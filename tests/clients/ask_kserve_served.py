"""Asks a served model by KServe's clients through a gateway: V1, V2 over HTTP and over gRPC; prints what each got.

Reads a JSON object: the gateway's ``url``, its ``address`` for gRPC and the ``host`` that it knows gRPC by, the
``model``, the ``columns`` to ask with by their inputs, and the same as ``rows``. Not in one process with tritonclient:
both register the protocol's messages. Runs in the environment of requirements/clients.txt.
"""

import asyncio
import json
import sys

import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.utils.numpy_codec import to_np_dtype

asked = json.load(sys.stdin)
url, model = asked["url"], asked["model"]
signature = httpx.get(f"{url}/v2/models/{model}").json()


def request():
    """Return the columns as a request of the types that the model tells."""
    inputs = []
    for told in signature["inputs"]:
        values = np.array(asked["columns"][told["name"]], to_np_dtype(told["datatype"]))
        inputs.append(InferInput(told["name"], list(values.shape), told["datatype"]))
        inputs[-1].set_data_from_numpy(values)
    return InferRequest(model, inputs)


def outputs(found):
    """Return an answer's outputs by their names."""
    return {output.name: output.as_numpy().tolist() for output in found.outputs}


async def ask():
    """Ask by each protocol."""
    v1, v2 = (InferenceRESTClient(RESTConfig(protocol=protocol)) for protocol in ("v1", "v2"))
    assert await v2.is_model_ready(url, model)
    metadata = [("colchis-model", model)]
    client = InferenceGRPCClient(asked["address"], channel_args=[("grpc.default_authority", asked["host"])])
    assert await client.is_model_ready(model, headers=metadata)
    return {
        "kserve v1": await v1.infer(url, {"instances": asked["rows"]}, model_name=model),
        "kserve http": outputs(await v2.infer(url, request(), model_name=model)),
        "kserve grpc": outputs(await client.infer(request(), headers=metadata)),
    }


print(json.dumps(asyncio.run(ask())))
