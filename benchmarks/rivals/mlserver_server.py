"""The rival mlserver: V2 with its adaptive batching, 32 rows or 3 ms. Arguments: SavedModel, port."""

import asyncio
import logging
import sys

import numpy as np
import tensorflow as tf
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Served(MLModel):
    """The SavedModel behind mlserver's V2."""

    async def load(self) -> bool:
        """Load it."""
        self.loaded = tf.saved_model.load(sys.argv[1])
        self.function = self.loaded.signatures["serving_default"]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer rows."""
        image = NumpyCodec.decode_input(payload.inputs[0]).astype(np.uint8)
        found = self.function(image=tf.constant(image))["probability"].numpy()
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("probability", found)])


async def main() -> None:
    """Serve."""
    logging.disable(logging.INFO)
    port = int(sys.argv[2])
    settings = Settings(
        host="127.0.0.1", http_port=port, grpc_port=port + 1, metrics_port=port + 2, parallel_workers=0, debug=False
    )
    server = MLServer(settings)
    model = ModelSettings(name="m", implementation=Served, max_batch_size=32, max_batch_time=0.003)
    await server.start([model])


if __name__ == "__main__":
    asyncio.run(main())
