"""The rival bentoml: batches of up to 32 rows by its adaptive batching. Started by ``bentoml serve``, see serve.py."""

import os
from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
from _opened import opened
from bentoml.validators import DType, Shape

ONNX = Path(os.environ["MODEL"], "model.onnx").exists()
Rows = (
    Annotated[np.ndarray, DType("float32"), Shape((-1, 64))]
    if ONNX
    else Annotated[np.ndarray, DType("uint8"), Shape((-1, 8, 8))]
)


@bentoml.service(workers=1, traffic={"timeout": 60}, metrics={"enabled": False})
class Served:
    """The model behind bentoml's /predict."""

    def __init__(self) -> None:
        self.call, self.dtype = opened(os.environ["MODEL"])

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=32, max_latency_ms=60_000)
    def predict(self, instances: Rows) -> np.ndarray:
        """Answer rows."""
        return self.call(np.asarray(instances, self.dtype))
