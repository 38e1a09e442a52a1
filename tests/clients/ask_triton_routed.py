"""Asks a model of 8 by 8 numbers by tritonclient over gRPC, through a gateway; prints the version that answered.

Arguments: the gateway's address, the name that it knows it by, the model, and a bearer token.
Runs in the environment of requirements/clients.txt.
"""

import sys

import numpy as np
import tritonclient.grpc as by_grpc

address, host, model, token = sys.argv[1:5]
client = by_grpc.InferenceServerClient(address, channel_args=[("grpc.default_authority", host)])
metadata = {"colchis-model": model, "authorization": f"Bearer {token}"}
image = by_grpc.InferInput("image", [1, 8, 8], "UINT8")
image.set_data_from_numpy(np.zeros((1, 8, 8), np.uint8))
try:
    found = client.infer(model, [image], headers=metadata)
except by_grpc.InferenceServerException as error:
    print(error.status(), error.message())
else:
    print("version", found.get_response().model_version, "class", found.as_numpy("class").tolist()[0])
