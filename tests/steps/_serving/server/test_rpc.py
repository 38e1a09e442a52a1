"""The same models over gRPC: both protocols, what they refuse, tokens, counts and the end."""

import asyncio
import contextlib
import filecmp
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
from grpc import aio
from hypothesis import given
from hypothesis import strategies as st
from tests.steps._serving.server.rpc_site import INFERENCE, TEXT, Adds, code, infer, live, story
from tests.steps.server_log import until

from colchis_steps._serving.config import Served, Written
from colchis_steps._serving.server.access import Access, Tokens
from colchis_steps._serving.server.app import Draining
from colchis_steps._serving.server.limits import VALUES
from colchis_steps._serving.server.loaded import Version
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._serving.server.rpc import inference_pb2 as v2
from colchis_steps._serving.server.rpc import open_inference, server, tensorflow_serving
from colchis_steps._serving.server.rpc import serving_pb2 as tf
from colchis_steps._serving.server.rpc.tensors import OPEN_INFERENCE, TENSORFLOW, from_values, to_values
from colchis_steps._tensors.tensor import Arrays, Tensor

STEPS = Path(server.__file__).parents[4]
PREDICTION = "/tensorflow.serving.PredictionService"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"


def predict(x: Any, **spec: Any) -> tf.PredictRequest:
    request = tf.PredictRequest(model_spec=tf.ModelSpec(name="m", **spec))
    request.inputs["x"].CopyFrom(tensor(np.array(x, np.float32)))
    request.inputs["t"].dtype = tf.DT_STRING
    request.inputs["t"].tensor_shape.dim.add(size=len(x))
    request.inputs["t"].string_val.append(b"a")  # for each row
    return request


def tensor(array: Any) -> tf.TensorProto:
    dims = [tf.TensorShapeProto.Dim(size=length) for length in array.shape]
    content = array.tobytes()
    return tf.TensorProto(dtype=tf.DT_FLOAT, tensor_shape=tf.TensorShapeProto(dim=dims), tensor_content=content)


def test_both_protocols_answer_and_describe() -> None:
    async def tell(ask: Any, _: aio.Channel, client: httpx.AsyncClient) -> None:
        told = await ask(f"{INFERENCE}/ModelInfer", infer([[1, 2], [3, 4]], id="a"), v2.ModelInferResponse)
        assert (told.model_name, told.model_version, told.id) == ("m", "1", "a")
        assert [output.name for output in told.outputs] == ["t", "y"]
        assert np.frombuffer(told.raw_output_contents[1], "<f4").tolist() == [3, 7]
        raw = infer([[1, 2]], model_version="2")
        for sent in raw.inputs:
            sent.ClearField("contents")
        raw.raw_input_contents.extend([np.array([5, 6], "<f4").tobytes(), b"\x02\0\0\0ab"])
        raw.outputs.add(name="y")
        told = await ask(f"{INFERENCE}/ModelInfer", raw, v2.ModelInferResponse)
        assert (told.model_version, np.frombuffer(told.raw_output_contents[0], "<f4").tolist()) == ("2", [11])
        assert (await ask(f"{INFERENCE}/ServerLive", v2.ServerLiveRequest(), v2.ServerLiveResponse)).live
        assert (await ask(f"{INFERENCE}/ServerReady", v2.ServerReadyRequest(), v2.ServerReadyResponse)).ready
        assert (await ask(f"{INFERENCE}/ModelReady", v2.ModelReadyRequest(name="m"), v2.ModelReadyResponse)).ready
        told = await ask(f"{INFERENCE}/ServerMetadata", v2.ServerMetadataRequest(), v2.ServerMetadataResponse)
        assert told.name == "colchis"
        told = await ask(f"{INFERENCE}/ModelMetadata", v2.ModelMetadataRequest(name="m"), v2.ModelMetadataResponse)
        assert (list(told.versions), list(told.inputs[1].shape)) == (["1", "2"], [-1, 2])
        assert told.platform == (await client.get("/v2/models/m")).json()["platform"] == "onnx_onnxv1"

        told = await ask(f"{PREDICTION}/Predict", predict([[1, 2], [3, 4]]), tf.PredictResponse)
        assert (list(told.outputs["y"].float_val), list(told.outputs["t"].string_val)) == ([3, 7], [b"a", b"a"])
        assert (told.model_spec.version.value, told.outputs["y"].tensor_shape.dim[0].size) == (1, 2)
        labelled = predict([[1, 2]], version_label="canary", signature_name="serving_default")
        labelled.output_filter.append("y")
        told = await ask(f"{PREDICTION}/Predict", labelled, tf.PredictResponse)
        assert (told.model_spec.version.value, list(told.outputs)) == (2, ["y"])
        spec = tf.ModelSpec(name="m")
        asked = tf.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
        told = await ask(f"{PREDICTION}/GetModelMetadata", asked, tf.GetModelMetadataResponse)
        found = tf.SignatureDefMap()
        assert told.metadata["signature_def"].Unpack(found)
        assert found.signature_def["serving_default"].inputs["x"].tensor_shape.dim[1].size == 2
        told = await ask(STATUS, tf.GetModelStatusRequest(model_spec=spec), tf.GetModelStatusResponse)
        assert [(one.version, one.state) for one in told.model_version_status] == [(2, 30), (1, 30)]
        metrics = (await client.get("/metrics")).text
        assert 'colchis_requests_total{code="200",model="m",version="1"} 2.0' in metrics
        assert 'colchis_named_requests_total{code="200",model="m",version="2"} 2.0' in metrics

    story(tell)


def test_a_clients_fault_is_the_clients() -> None:
    huge = predict([[1, 2]])
    del huge.inputs["x"].tensor_shape.dim[:]
    huge.inputs["x"].tensor_shape.dim.extend([tf.TensorShapeProto.Dim(size=2**62)] * 40_000)
    far = predict([[1, 2]])
    far.inputs["t"].tensor_shape.dim[0].size = 2**40
    int_for_float = predict([[1, 2]])
    int_for_float.inputs["x"].dtype = tf.DT_INT32
    twice = infer([[1, 2]])
    twice.outputs.add(name="y")
    twice.outputs.add(name="y")
    deep = infer([[1, 2]])
    deep.inputs[0].shape.extend([2**62] * 40_000)
    cases = [
        (infer([[-1, 2]]), "INVALID_ARGUMENT"),
        (infer([[float("nan"), 2]]), "INVALID_ARGUMENT"),
        (twice, "INVALID_ARGUMENT"),
        (deep, "INVALID_ARGUMENT"),
        (infer([[1, 2]], raw_input_contents=[b""]), "INVALID_ARGUMENT"),
        (v2.ModelInferRequest(model_name="m"), "INVALID_ARGUMENT"),
        (v2.ModelInferRequest(model_name="moon"), "NOT_FOUND"),
        (infer([[1, 2]], model_version="9"), "NOT_FOUND"),
        (infer([[1, 2]] * 11), "OUT_OF_RANGE"),
        (predict([[1, 2]], version_label="moon"), "NOT_FOUND"),
        (predict([[1, 2]], signature_name="other"), "INVALID_ARGUMENT"),
        (huge, "INVALID_ARGUMENT"),
        (far, "INVALID_ARGUMENT"),
        (int_for_float, "INVALID_ARGUMENT"),
        (tf.PredictRequest(model_spec=tf.ModelSpec(name="m")), "INVALID_ARGUMENT"),
    ]

    async def tell(ask: Any, channel: aio.Channel, client: httpx.AsyncClient) -> None:
        for request, wanted in cases:
            kind = isinstance(request, v2.ModelInferRequest)
            method = f"{INFERENCE}/ModelInfer" if kind else f"{PREDICTION}/Predict"
            answer = v2.ModelInferResponse if kind else tf.PredictResponse
            assert await code(ask(method, request, answer)) == wanted, request
        damaged: Any = channel.unary_unary(f"{INFERENCE}/ModelInfer")
        assert await code(damaged(b"\xff\xff", timeout=30)) == "INVALID_ARGUMENT"
        classify: Any = channel.unary_unary(f"{PREDICTION}/Classify")
        assert await code(classify(b"", timeout=30)) == "UNIMPLEMENTED"
        too_large: Any = channel.unary_unary(f"{INFERENCE}/ModelInfer")
        assert await code(too_large(b"\0" * (2 << 20), timeout=30)) == "RESOURCE_EXHAUSTED"
        assert 'code="500"' not in (await client.get("/metrics")).text
        assert await code(ask(f"{INFERENCE}/ModelInfer", infer([[1, 2]]), v2.ModelInferResponse)) == "OK"

    story(tell, rows=10, body=1 << 20)


def test_tokens_are_asked_for_here_too(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(json.dumps({"m": ["token-of-m-0123"[:15] + "4"]}))
    access = Access(tokens=Tokens(tmp_path / "tokens"))

    async def tell(ask: Any, *_: Any) -> None:
        request, answer = infer([[1, 2]]), v2.ModelInferResponse
        assert await code(ask(f"{INFERENCE}/ModelInfer", request, answer)) == "UNAUTHENTICATED"
        bearer = "Bearer token-of-m-01234"
        assert await code(ask(f"{INFERENCE}/ModelInfer", request, answer, authorization=bearer)) == "OK"
        status = tf.GetModelStatusRequest(model_spec=tf.ModelSpec(name="other"))
        assert await code(ask(STATUS, status, tf.GetModelStatusResponse, authorization=bearer)) == "PERMISSION_DENIED"
        assert (await ask(f"{INFERENCE}/ServerLive", v2.ServerLiveRequest(), v2.ServerLiveResponse)).live

    story(tell, access)


def test_a_server_that_ends_answers_what_is_in_flight_and_refuses_what_comes() -> None:
    draining, entered, go = Draining(), threading.Event(), threading.Event()

    class Slow(Adds):
        def predict(self, arrays: Arrays) -> Arrays:
            entered.set()
            assert go.wait(60)
            return super().predict(arrays)

    async def tell(ask: Any, *_: Any) -> tuple[str, str]:
        def asking() -> "asyncio.Future[str]":
            return asyncio.ensure_future(code(ask(f"{INFERENCE}/ModelInfer", infer([[1, 2]]), v2.ModelInferResponse)))

        flying = asking()
        await asyncio.to_thread(entered.wait, 60)
        draining.now = True
        said = await asking()
        go.set()
        return said, await flying

    assert story(tell, draining=draining, load=Slow) == ("UNAVAILABLE", "OK")


@pytest.mark.parametrize("dtype", sorted(TENSORFLOW))
def test_values_come_back_in_both_messages(dtype: str) -> None:
    its = Tensor("x", dtype, (None,))
    array = np.array([b"", b"\xff"], dtype=object) if dtype == "string" else np.array([0, 1]).astype(dtype)
    sent = tf.TensorProto()
    getattr(sent, TENSORFLOW[dtype]).extend(to_values(array))
    assert from_values(its, [2], getattr(sent, TENSORFLOW[dtype])).tolist() == array.tolist()
    if dtype in OPEN_INFERENCE:
        contents = v2.InferTensorContents()
        getattr(contents, OPEN_INFERENCE[dtype]).extend(array.tolist())
        assert from_values(its, [2], getattr(contents, OPEN_INFERENCE[dtype])).tolist() == array.tolist()


def test_a_last_value_stands_for_those_left_out_to_a_bound() -> None:
    its = Tensor("x", "uint8", (None, None))
    assert from_values(its, [2, 2], [1, 2], repeats=True).tolist() == [[1, 2], [2, 2]]
    for shape, values in (([2, 2], []), ([1, 1], [1, 2]), ([VALUES, 2], [1]), ([1, 1], [256])):
        with pytest.raises(Refused):
            from_values(its, shape, values, repeats=True)
    with pytest.raises(Refused):
        from_values(its, [2, 2], [1, 2])


@given(st.binary(max_size=80))
def test_any_bytes_are_a_question_or_refused(content: bytes) -> None:
    version = Version("m", 1, Served("/nowhere"), cast(Any, Adds))
    for spoken, request in ((open_inference, v2.ModelInferRequest()), (tensorflow_serving, tf.PredictRequest())):
        with contextlib.suppress(Refused):
            spoken.read(server._parse(request, content), version)


@pytest.mark.servers
def test_the_stubs_are_what_the_protos_make(tmp_path: Path) -> None:
    protos = [str(path.relative_to(STEPS)) for path in sorted(Path(server.__file__).parent.glob("*.proto"))]
    assert len(protos) == 2
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}", *protos]
    subprocess.run(command, cwd=STEPS, check=True)
    for proto in protos:
        made = proto.replace(".proto", "_pb2.py")
        assert filecmp.cmp(tmp_path / made, STEPS / made, shallow=False), f"run: {' '.join(command)}"


def test_our_own_bug_is_told_without_its_insides(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr(open_inference, "server", broken)

    async def tell(ask: Any, *_: Any) -> str:
        try:
            await ask(f"{INFERENCE}/ServerMetadata", v2.ServerMetadataRequest(), v2.ServerMetadataResponse)
        except aio.AioRpcError as error:
            return f"{error.code().name} {error.details()}"
        return ""

    assert story(tell) == "INTERNAL the server failed on this request; its log says why"


def test_a_column_that_may_be_null_may_be_left_out() -> None:
    saved = Adds(Path("/nowhere"))
    saved.inputs = {"x": Tensor("x", "int64", (None,)), "x__valid": Tensor("x__valid", "bool", (None,)), "t": TEXT}
    version = Version("m", 1, Served("/nowhere", columns={"x": Written("int64", nullable=True)}), cast(Any, saved))
    request = v2.ModelInferRequest(model_name="m")
    request.inputs.add(name="t", datatype="BYTES", shape=[2]).contents.bytes_contents.extend([b"a", b"b"])
    arrays, _ = open_inference.read(request, version)
    assert (arrays["x"].tolist(), arrays["x__valid"].tolist()) == ([0, 0], [False, False])
    with pytest.raises(Refused):
        tensorflow_serving.read(tf.PredictRequest(), version)


BESIDE = """
import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from colchis_steps._tensors.tensor import Tensor
from colchis_steps._serving.server.rpc import serving_pb2 as pb
from colchis_steps._serving.server.rpc import tensorflow_serving as ours
from colchis_steps._serving.server.rpc.tensors import TENSORFLOW, to_values

for name, dtype in ours.DTYPES.items():
    made = np.array([b"a", b"\\xff"], object) if name == "string" else np.array([0, 1]).astype(name)
    sent = pb.TensorProto.FromString(tf.make_tensor_proto(made).SerializeToString())
    assert ours._array(Tensor("x", name, (None,)), sent, nan=False).tolist() == made.tolist(), name
    told = pb.TensorProto(dtype=dtype, tensor_shape=pb.TensorShapeProto(dim=[pb.TensorShapeProto.Dim(size=2)]))
    getattr(told, TENSORFLOW[name]).extend(to_values(made))
    found = tf.make_ndarray(TensorProto.FromString(told.SerializeToString()))
    assert found.tolist() == made.tolist(), name
print("alike")
"""


@pytest.mark.tensorflow
def test_tensors_are_tensorflows_own_on_the_wire_and_both_load_in_one_process() -> None:
    done = subprocess.run([sys.executable, "-c", BESIDE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alike\n"), done.stderr[-2000:]


@pytest.mark.servers
def test_the_step_serves_grpc_until_it_is_asked_to_stop(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"models": {}}')
    command = [sys.executable, "-m", "colchis_steps.serve", f"--config={tmp_path / 'config.json'}", "--port=0"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--grpc-port=0"], stderr=log)
    try:
        until(process, tmp_path / "log", "serving gRPC on")
        found = re.search(r"serving gRPC on (\S+)", (tmp_path / "log").read_text())
        assert found
        assert asyncio.run(live(found[1]))
        taken = subprocess.run(
            [*command, f"--grpc-port={found[1].rpartition(':')[2]}"], capture_output=True, text=True, check=False
        )
        assert (taken.returncode, "is in use by another program" in taken.stderr) == (65, True)
    finally:
        process.terminate()
    assert process.wait(60) == 0
