"""What a prediction is answered with, by the whole application but without TensorFlow and a socket."""

import asyncio
import gzip
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from colchis_steps._serving.config import Config, Served, ServedModel
from colchis_steps._serving.server.app import app
from colchis_steps._serving.server.loaded import Registry
from colchis_steps._serving.server.predictions import Settings
from colchis_steps._step.errors import InputError
from colchis_steps._tensors.tensor import Arrays, Tensor, ValuesError


class Picky:
    """Doubles x, and refuses -1 as a lookup layer may."""

    rows_apart, steady = True, True
    classes, signature_def = (), dict[str, Any]()

    def __init__(self, path: Path, allowed: object = ()) -> None:
        del allowed
        if path.name == "absent":
            raise InputError("there is no such model")
        self.inputs = self.outputs = {"x": Tensor("x", "int64", (None,))}

    def warm_up(self, _: object = ()) -> None:
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


def answers(
    config: Config, asked: Sequence[tuple[str, str, dict[str, Any]]], *, raises: bool = True, **how: Any
) -> list[httpx.Response]:
    """Ask an application method, path and httpx's arguments, one after the other."""
    registry = Registry(load=cast(Any, Picky))
    registry.apply(config, "digest")

    async def story() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app(registry, forever, Settings(**how)), raise_app_exceptions=raises)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return [await client.request(method, path, **more) for method, path, more in asked]

    return asyncio.run(story())


READY = ("/v2/health/ready", "/v2/models/m/ready", "/v2/models/bad/ready")
ONE = {"json": {"instances": [1]}}
BOTH = Config({"m": ServedModel({1: "/one", 2: "/two"}, 1, labels={"canary": 2})})


def test_labels_name_versions() -> None:
    paths = ["/v1/models/m/labels/stable", "/v1/models/m/labels/canary"]
    told = answers(BOTH, [("POST", f"{path}:predict", ONE) for path in paths])
    assert [answer.headers["colchis-version"] for answer in told] == ["1", "2"]
    told = answers(BOTH, [("GET", path, {}) for path in paths])
    assert [answer.json()["model_version_status"][0]["version"] for answer in told] == ["1", "2"]
    (unknown,) = answers(BOTH, [("POST", "/v1/models/m/labels/moon:predict", ONE)])
    assert (unknown.status_code, "the labels are: canary, stable" in unknown.text) == (404, True)
    alone = Config({"m": ServedModel({7: "/one"})})  # the gateway in front has chosen
    told = answers(alone, [("POST", f"{path}:predict", ONE) for path in paths])
    assert [answer.headers["colchis-version"] for answer in told] == ["7", "7"]


def test_kserves_client_finds_health_as_v1_has_it() -> None:
    alive, ready = answers(
        BOTH, [("GET", "/", {"headers": {"accept": "application/json"}}), ("GET", "/v1/models/m", {})]
    )
    assert alive.json() == {"status": "alive"}
    assert (ready.json()["name"], ready.json()["ready"]) == ("m", True)


def test_only_the_paths_of_the_two_protocols_are_predictions() -> None:
    right = ["/v1/models/m:predict", "/v1/models/m/versions/1:predict", "/v1/models/m/labels/stable:predict"]
    assert [found.status_code for found in answers(BOTH, [("POST", path, ONE) for path in right])] == [200, 200, 200]
    wrong = [
        "/v1/models/m/infer",
        "/v2/models/m:predict",
        "/v1/models/m:predicts",
        "/v1/models/:predict",
        "/v1:predict",
    ]
    told = answers(BOTH, [("POST", path, ONE) for path in wrong])
    assert not [found.url.path for found in told if found.status_code not in {404, 405}]
    (got,) = answers(BOTH, [("GET", "/v1/models/m:predict", {})])
    assert (got.status_code, got.headers["allow"]) == (405, "POST")


def test_our_bug_is_answered_in_json_and_told_to_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("colchis_steps._serving.server.protocol.read_v1", broken)
    with pytest.raises(ZeroDivisionError):  # to uvicorn, which logs it
        answers(BOTH, [("POST", "/v1/models/m:predict", ONE)])
    (told,) = answers(BOTH, [("POST", "/v1/models/m:predict", ONE)], raises=False)
    assert (told.status_code, told.json()["code"]) == (500, "INTERNAL")


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_the_verbs_of_examples_get_a_sentence(verb: str) -> None:
    (told,) = answers(BOTH, [("POST", f"/v1/models/m/versions/1:{verb}", {"json": {"examples": [{}]}})])
    assert told.status_code == 400
    assert "send the inputs by name to :predict" in told.json()["error"]


def test_one_model_that_does_not_load_leaves_the_others_ready() -> None:
    for required, whole in ((True, 503), (False, 200)):
        config = Config({"m": ServedModel({1: "/one"}), "bad": ServedModel({1: "/absent"}, required=required)})
        asked: list[tuple[str, str, dict[str, Any]]] = [("GET", path, {}) for path in READY]
        assert [answer.status_code for answer in answers(config, asked)] == [whole, 200, 503]


def test_bodies_come_and_go_packed() -> None:
    rows = list(range(1000))
    body = gzip.compress(json.dumps({"instances": rows}).encode())
    more = {"content": body, "headers": {"content-encoding": "gzip", "accept-encoding": "gzip"}}
    (told,) = answers(BOTH, [("POST", "/v1/models/m:predict", more)])
    assert told.headers["content-encoding"] == "gzip"
    assert told.json() == {"predictions": [row * 2 for row in rows]}
    bomb = {"content": gzip.compress(b" " * (64 << 20)), "headers": {"content-encoding": "gzip"}}
    assert answers(BOTH, [("POST", "/v1/models/m:predict", bomb)])[0].status_code == 413


def test_v2_takes_and_gives_tensors_behind_the_json() -> None:
    tensor = {"name": "x", "shape": [2], "datatype": "INT64", "parameters": {"binary_data_size": 16}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    more = {
        "content": head + struct.pack("<qq", 3, 4),
        "headers": {"inference-header-content-length": str(len(head))},
    }
    (told,) = answers(BOTH, [("POST", "/v2/models/m/infer", more)])
    length = int(told.headers["inference-header-content-length"])
    assert json.loads(told.content[:length])["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert struct.unpack("<qq", told.content[length:]) == (6, 8)


def test_a_large_body_and_a_large_answer_are_refused_before_the_work() -> None:
    scalars = {"content": b'{"instances": [[' + b"0," * 400_000 + b"0]]}"}
    long = {"json": {"instances": [1] * 1000}}
    few, much = answers(
        BOTH, [("POST", "/v1/models/m:predict", scalars), ("POST", "/v1/models/m:predict", long)], answer=9
    )
    assert (few.status_code, "values and lists" in few.text) == (400, True)
    assert (much.status_code, "the answer would have" in much.text) == (413, True)


def test_requests_that_name_a_version_are_counted_apart() -> None:
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/models/m:predict", ONE),
        ("POST", "/v1/models/m/versions/1:predict", ONE),
        ("POST", "/v1/models/m/labels/stable:predict", ONE),
        ("POST", "/v1/models/m:predict", {**ONE, "headers": {"colchis-version": "1"}}),
        ("GET", "/metrics", {}),
    ]
    told = answers(BOTH, asked)[-1].text
    assert 'colchis_requests_total{code="200",model="m",version="1"} 4.0' in told
    assert 'colchis_named_requests_total{code="200",model="m",version="1"} 3.0' in told
