"""The rival kserve: its ModelServer, V1 or V2 and gRPC, which batches nothing by itself. Arguments: model, port."""

import logging
import sys

import numpy as np
from _opened import opened
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Served(Model):
    """The model behind kserve's V1, V2 and gRPC."""

    def __init__(self, path: str) -> None:
        super().__init__("m")
        self.call, self.dtype = opened(path)
        self.ready = True

    def predict(self, payload: dict | InferRequest, headers=None, response_headers=None) -> dict | InferResponse:
        """Answer rows."""
        if isinstance(payload, InferRequest):
            found = self.call(payload.inputs[0].as_numpy())
            output = InferOutput("probability", list(found.shape), "FP32")
            output.set_data_from_numpy(found, binary_data=payload.from_grpc)
            return InferResponse(payload.id or "", self.name, [output])
        return {"predictions": self.call(np.array(payload["instances"], self.dtype)).tolist()}


if __name__ == "__main__":
    logging.disable(logging.INFO)
    port = int(sys.argv[2])
    grpc = len(sys.argv) > 3
    ModelServer(http_port=port, grpc_port=int(sys.argv[3]) if grpc else 0, enable_grpc=grpc, workers=1).start(
        [Served(sys.argv[1])]
    )
