"""The rival litserve: batches of up to 32 requests, gathered for 3 ms. Arguments: model, port."""

import sys

import litserve as ls
import numpy as np


class Served(ls.LitAPI):
    """The model behind litserve's /predict."""

    def setup(self, device: str) -> None:
        """Load it, in the worker's process."""
        from _opened import opened

        self.call, self.dtype = opened(sys.argv[1])

    def decode_request(self, request: dict) -> np.ndarray:
        """Give the row of a request."""
        return np.array(request["instances"][0], self.dtype)

    def batch(self, inputs: list) -> np.ndarray:
        """Put rows together."""
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Answer a batch."""
        return self.call(x)

    def unbatch(self, output: np.ndarray) -> list:
        """Take a batch apart."""
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict:
        """Write a row's answer."""
        return {"predictions": [output.tolist()]}


if __name__ == "__main__":
    api = Served(max_batch_size=32, batch_timeout=0.003)
    ls.LitServer(api, accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False, log_level="warning"
    )
