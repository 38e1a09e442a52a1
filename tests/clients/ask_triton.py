"""Asks a server by tritonclient with its defaults; runs in the environment of requirements/clients.txt.

Arguments: the URL, and the address of gRPC. The model m adds the two numbers of a row of x and repeats its text t.
"""

import sys

import numpy as np
import tritonclient.grpc as by_grpc
import tritonclient.http as by_http

url, address = sys.argv[1:3]


def ask(module, client, **how):
    """Ask by either module: what is sent and what comes back is binary."""
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("m")
    x, t = module.InferInput("x", [2, 2], "FP32"), module.InferInput("t", [2], "BYTES")
    x.set_data_from_numpy(np.array([[1, 2], [3, 4]], np.float32))
    t.set_data_from_numpy(np.array(["a", "ö"], object))
    for outputs in (None, [module.InferRequestedOutput("y"), module.InferRequestedOutput("t")]):
        found = client.infer("m", [x, t], outputs=outputs, **how)
        assert found.as_numpy("y").tolist() == [3, 7]
        assert [value.decode() for value in found.as_numpy("t").tolist()] == ["a", "ö"]


http = by_http.InferenceServerClient(url.removeprefix("http://"))
ask(by_http, http)
for packing in ("gzip", "deflate"):
    ask(by_http, http, request_compression_algorithm=packing, response_compression_algorithm=packing)
assert http.get_model_metadata("m")["inputs"][1]["shape"] == [-1, 2]
grpc = by_grpc.InferenceServerClient(address)
ask(by_grpc, grpc)
ask(by_grpc, grpc, compression_algorithm="gzip")
assert [one.name for one in grpc.get_model_metadata("m").inputs] == ["t", "x"]
print("answered")
