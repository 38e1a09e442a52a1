"""The rival bentoml: batches of up to 32 rows by its adaptive batching. Started by ``bentoml serve``, see serve.py."""

import os
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType, Shape


@bentoml.service(workers=1, traffic={"timeout": 60}, metrics={"enabled": False})
class Served:
    """The SavedModel behind bentoml's /predict."""

    def __init__(self) -> None:
        import tensorflow as tf

        self.constant, self.loaded = tf.constant, tf.saved_model.load(os.environ["SAVED_MODEL"])
        self.function = self.loaded.signatures["serving_default"]

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=32, max_latency_ms=60_000)
    def predict(self, instances: Annotated[np.ndarray, DType("uint8"), Shape((-1, 8, 8))]) -> np.ndarray:
        """Answer rows."""
        return self.function(image=self.constant(np.asarray(instances, np.uint8)))["probability"].numpy()
