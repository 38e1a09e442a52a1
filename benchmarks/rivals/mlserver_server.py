"""The rival mlserver: V2 and gRPC with its adaptive batching, 32 rows or 3 ms. Arguments: model, port, gRPC's port.

A SavedModel is served by a runtime of the race's own, a model of scikit-learn by mlserver's.
"""

import asyncio
import logging
import sys
from pathlib import Path

from _opened import opened
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse


class Served(MLModel):
    """The SavedModel behind mlserver's V2."""

    async def load(self) -> bool:
        """Load it."""
        self.call, self.dtype = opened(sys.argv[1])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer rows."""
        found = self.call(NumpyCodec.decode_input(payload.inputs[0]).astype(self.dtype))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("probability", found)])


async def main() -> None:
    """Serve."""
    logging.disable(logging.INFO)
    port, grpc = int(sys.argv[2]), int(sys.argv[3])
    settings = Settings(
        host="127.0.0.1", http_port=port, grpc_port=grpc, metrics_endpoint=None, parallel_workers=0, debug=False
    )
    server = MLServer(settings)
    runtime, file = Served, Path(sys.argv[1]) / "model.joblib"
    if file.exists():
        import mlserver_sklearn

        runtime = mlserver_sklearn.SKLearnModel
    model = ModelSettings(
        name="m",
        implementation=runtime,
        max_batch_size=32,
        max_batch_time=0.003,
        parameters=ModelParameters(uri=str(file)),
    )
    await server.start([model])


if __name__ == "__main__":
    asyncio.run(main())
