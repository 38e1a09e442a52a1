"""What a prediction is answered with, by the whole application but without TensorFlow and a socket."""

import asyncio
from pathlib import Path
from typing import Any, cast

import httpx

from colchis_steps._savedmodel.loading import Arrays, Tensor, ValuesError
from colchis_steps._serving.config import Config, Served, ServedModel
from colchis_steps._serving.server.app import app
from colchis_steps._serving.server.loaded import Registry


class Picky:
    """Doubles x, and refuses -1 as a lookup layer may."""

    rows_apart = True

    def __init__(self, path: Path, allowed: object = ()) -> None:
        del path, allowed
        self.inputs = self.outputs = {"x": Tensor("x", "int64", (None,))}

    def warm_up(self) -> None:
        """Be warm at once."""

    def predict(self, arrays: Arrays) -> Arrays:
        if (arrays["x"] == -1).any():
            raise ValuesError("the model refuses these values: -1 is not in the table")
        return {"x": arrays["x"] * 2}


async def forever() -> None:
    """Watch nothing."""
    await asyncio.Event().wait()


def test_values_that_the_model_itself_refuses_are_the_clients_error_and_nobody_elses() -> None:
    registry = Registry(load=cast(Any, Picky))
    registry.apply(Config({"m": ServedModel({1: Served("/nowhere")}, 1)}), "digest")

    async def story() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app(registry, forever))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            asked = (client.post("/v1/models/m:predict", json={"instances": [x]}) for x in (1, -1, 2))
            return list(await asyncio.gather(*asked))

    first, refused, last = asyncio.run(story())
    assert (first.json(), last.json()) == ({"predictions": [2]}, {"predictions": [4]})
    assert refused.status_code == 400
    assert refused.json() == {
        "error": "the model refuses these values: -1 is not in the table",
        "code": "INVALID_ARGUMENT",
    }
