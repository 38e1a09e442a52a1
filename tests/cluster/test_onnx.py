"""An ONNX model from data to served, without TensorFlow in its pods; then a SavedModel in its place, and back."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from tests.cluster.installed import GATEWAY, IMAGES, NEEDS_CLUSTER, PATIENCE, TAG, Installation, Run, until
from tests.cluster.test_chain import agrees, pods, record, stable, went_through

from colchis_steps._serving.client import call
from colchis_steps._serving.server.rpc import inference_pb2 as v2

pytestmark = NEEDS_CLUSTER
MODEL, ROW = "softmax", [[0] * 8] * 8
LENIENT = '{"latency": 50, "disagreement": 0.7, "distribution": 0.7}'  # two models that have little in common
NO_TENSORFLOW = (
    "import importlib.util as u; print([n for n in ('tensorflow', 'keras', 'kubernetes') if u.find_spec(n)])"
)


def write_graph(path: Path) -> None:
    """Write a layer and a softmax over pictures of 8 by 8; its weights are in the file beside it that ``fit`` makes."""
    import onnx
    from onnx import TensorProto, helper

    weights = TensorProto(name="weights", dims=[65, 10], data_type=TensorProto.FLOAT)
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "weights.bin", "offset": "0", "length": str(65 * 10 * 4)}.items():
        weights.external_data.add(key=key, value=value)
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [1 / 16]),
        helper.make_tensor("pads", TensorProto.INT64, [4], [0, 0, 0, 1]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["numbers"], ["flat"]),
        helper.make_node("Mul", ["flat", "scale"], ["scaled"]),
        helper.make_node("Pad", ["scaled", "pads", "one"], ["padded"]),
        helper.make_node("MatMul", ["padded", "weights"], ["powers"]),
        helper.make_node("Softmax", ["powers"], ["probability"], axis=1),
        helper.make_node("ArgMax", ["probability"], ["class"], axis=1, keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["rows", 8, 8])]
    outputs = [
        helper.make_tensor_value_info("class", TensorProto.INT64, ["rows"]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows", 10]),
    ]
    graph = helper.make_graph(nodes, "softmax", inputs, outputs, [weights, *constants])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    assert onnx.load(path, load_external_data=False).graph.name == "softmax"


@pytest.fixture(scope="module")
def first(here: Installation, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train by a command, and roll out what it left."""
    code = tmp_path_factory.mktemp("code")
    shutil.copy(Path(__file__).parent / "softmax" / "fit.py", code)
    write_graph(code / "model.onnx")
    command = ["colchis", "push-code", str(code), "--store", here.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    given = {"code": done.stdout.strip(), "entry": "command:python fit.py", "hyperparameters": "{}", "workers": "1"}
    given["serve_options"] = '{"log_requests": 1}'
    return here.ended(here.submit(model=MODEL, builder="direct", **given), 500)


def server(here: Installation, version: int) -> str:
    """Return the image of the version's server, the same in all its pods."""
    running = pods(here, MODEL, version)
    (image,) = {container["image"] for pod in running for container in pod["spec"]["containers"]}
    return str(image)


def by_grpc(here: Installation, version: int) -> int:
    """Ask the version's Service by the Open Inference Protocol; give the class of a row of zeros."""
    with grpc.insecure_channel(f"colchis-{MODEL}-{version}.{here.namespace}.svc:8500") as channel:
        tensor = v2.ModelInferRequest.InferInputTensor(name="image", datatype="UINT8", shape=[1, 8, 8])
        tensor.contents.uint_contents.extend([0] * 64)
        found = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=v2.ModelInferRequest.SerializeToString,
            response_deserializer=v2.ModelInferResponse.FromString,
        )(v2.ModelInferRequest(model_name=MODEL, inputs=[tensor]), timeout=10)
    where = [output.name for output in found.outputs].index("class")
    return int.from_bytes(found.raw_output_contents[where], "little")


def through_the_gateway() -> int:
    status, found = call(f"{GATEWAY}/v1/models/{MODEL}:predict", {"instances": [ROW]}, timeout=10)
    assert status == 200, found
    assert len(found["predictions"][0]["probability"]) == 10
    return int(found["predictions"][0]["class"])


def test_an_onnx_model_is_judged_published_and_served_without_tensorflow(
    here: Installation, first: Run, record_property: Callable[[str, object], None]
) -> None:
    run = went_through(first, record_property)
    assert (run.outputs["verdict"], run.outputs["version"]) == ("pass", "1")
    agrees(here, run, MODEL, 1)
    known = record(here, MODEL, 1)
    assert (known.format, known.frameworks.get("tensorflow")) == ("onnx", None)
    assert known.metrics["accuracy"] > 0.9
    assert server(here, 1) == f"{IMAGES}/serve-onnx:{TAG}"
    (pod,) = pods(here, MODEL, 1)
    assert here.kubectl("exec", pod["metadata"]["name"], "--", "python", "-c", NO_TENSORFLOW).strip() == "[]"


@pytest.mark.usefixtures("first")
def test_it_answers_http_and_grpc_alike(here: Installation) -> None:
    assert by_grpc(here, 1) == through_the_gateway()


@pytest.mark.usefixtures("first")
def test_it_keeps_requests_in_the_bucket(here: Installation) -> None:
    through_the_gateway()
    (key, *_) = until(60, "a kept request", lambda: here.keys(f"requests/{MODEL}/1/") or None)
    kept = json.loads(here.store.read(key))
    assert kept["requests"][0]["inputs"]["image"]


@pytest.mark.long
def test_a_saved_model_takes_its_place_from_an_image_of_its_own_and_goes_back(
    here: Installation, first: Run, record_property: Callable[[str, object], None]
) -> None:
    assert first.phase == "Succeeded"
    way = {"steps": "50,100", "tolerances": LENIENT, "model_volume": "copy"}
    run = went_through(here.ended(here.submit(model=MODEL, builder="direct", **way), 500), record_property)
    assert (run.outputs["verdict"], run.outputs["version"]) == ("pass", "2")
    assert record(here, MODEL, 2).format == "savedmodel"
    assert server(here, 2) == f"{IMAGES}/serve:{TAG}"
    told = json.loads(here.store.read(f"models/{MODEL}/rollouts/{run.uid}.json"))
    assert [(step["weight"], step["verdict"]) for step in told["steps"]] == [(2, "pass"), (50, "pass")]
    until(60, "the end of the first version's pods", lambda: not pods(here, MODEL, 1))
    command = ["colchis", "models", "rollback", MODEL, "--store", here.url, "--namespace", here.namespace]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert stable(here, MODEL).version == 1
    assert server(here, 1) == f"{IMAGES}/serve-onnx:{TAG}"
    assert by_grpc(here, 1) == through_the_gateway()
