"""Asks a server by KServe's clients with their defaults; runs in the environment of requirements/clients.txt.

Arguments: the URL, and the address of gRPC. The model m adds the two numbers of a row of x and repeats its text t.
"""

import asyncio
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

url, address = sys.argv[1:3]


def request():
    """Return what is asked, binary as it is by default."""
    x, t = InferInput("x", [2, 2], "FP32"), InferInput("t", [2], "BYTES")
    x.set_data_from_numpy(np.array([[1, 2], [3, 4]], np.float32))
    t.set_data_from_numpy(np.array(["a", "ö"], object))
    return InferRequest("m", [x, t])


def sums(found):
    """Return the output y."""
    return {output.name: output.as_numpy().tolist() for output in found.outputs}["y"]


async def ask():
    """Ask V1, V2 over HTTP and V2 over gRPC."""
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    assert await v1.is_server_live(url)
    assert await v1.is_model_ready(url, "m")
    rows = {"instances": [{"x": [1, 2], "t": "a"}]}
    assert await v1.infer(url, rows, model_name="m") == {"predictions": [{"t": "a", "y": 3.0}]}
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await v2.is_server_live(url)
    assert await v2.is_server_ready(url)
    assert await v2.is_model_ready(url, "m")
    assert sums(await v2.infer(url, request(), model_name="m")) == [3, 7]
    client = InferenceGRPCClient(address)
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert await client.is_model_ready("m")
    assert sums(await client.infer(request())) == [3, 7]


asyncio.run(ask())
print("answered")
