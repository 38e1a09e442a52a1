"""The rival kserve: its ModelServer with V1, which batches nothing by itself. Arguments: SavedModel, port."""

import sys

import numpy as np
import tensorflow as tf
from kserve import Model, ModelServer


class Served(Model):
    """The SavedModel behind kserve's V1."""

    def __init__(self, path: str) -> None:
        super().__init__("m")
        self.loaded = tf.saved_model.load(path)
        self.function = self.loaded.signatures["serving_default"]
        self.ready = True

    def predict(self, payload: dict, headers=None, response_headers=None) -> dict:
        """Answer rows."""
        image = np.array(payload["instances"], np.uint8)
        return {"predictions": self.function(image=tf.constant(image))["probability"].numpy().tolist()}


if __name__ == "__main__":
    ModelServer(http_port=int(sys.argv[2]), enable_grpc=False, workers=1).start([Served(sys.argv[1])])
