"""Asks a served model by tritonclient through a gateway, over HTTP and gRPC; prints what each got.

Reads a JSON object: the gateway's ``url``, its ``address`` for gRPC and the ``host`` that it knows gRPC by, the
``model``, and the ``columns`` to ask with by their inputs. Runs in the environment of requirements/clients.txt.
"""

import json
import sys

import numpy as np
import tritonclient.grpc as by_grpc
import tritonclient.http as by_http
from tritonclient.utils import triton_to_np_dtype

asked = json.load(sys.stdin)
model, metadata = asked["model"], {"colchis-model": asked["model"]}
http = by_http.InferenceServerClient(asked["url"].removeprefix("http://"))
grpc = by_grpc.InferenceServerClient(asked["address"], channel_args=[("grpc.default_authority", asked["host"])])
signature = http.get_model_metadata(model)


def answered(module, client, **how):
    """Ask by either module, with inputs of the types that the model tells."""
    inputs = []
    for told in signature["inputs"]:
        values = np.array(asked["columns"][told["name"]], triton_to_np_dtype(told["datatype"]))
        inputs.append(module.InferInput(told["name"], list(values.shape), told["datatype"]))
        inputs[-1].set_data_from_numpy(values)
    found = client.infer(model, inputs, **how)
    return {told["name"]: found.as_numpy(told["name"]).tolist() for told in signature["outputs"]}


assert http.is_model_ready(model)
assert grpc.is_model_ready(model, headers=metadata)
print(json.dumps({"triton http": answered(by_http, http), "triton grpc": answered(by_grpc, grpc, headers=metadata)}))
