"""What the race `serve` sends and loads: a row in each protocol, and the large model of ONNX, which is small here."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from benchmarks._serve_contenders import message, told, v1, v2
from benchmarks._serve_loading import large_onnx_model

from colchis_steps._program.opening import open_model
from colchis_steps._serving.server.columns import Columns
from colchis_steps._serving.server.protocol import read_v1, read_v2
from colchis_steps._serving.server.rpc import inference_pb2, open_inference
from colchis_steps._tensors.tensor import Tensor

INPUTS, OUTPUTS = (
    {"x": Tensor("x", "float32", (None, 64))},
    {"probability": Tensor("probability", "float32", (None, 10))},
)
ROW = np.arange(64, dtype=np.float32)


def test_a_row_is_the_same_in_each_protocol() -> None:
    columns = Columns(INPUTS)
    for question in (
        read_v1(msgspec.json.encode(v1(ROW)), columns),
        read_v2(msgspec.json.encode(v2(ROW)), columns, OUTPUTS),
    ):
        assert question.arrays["x"].tolist() == [ROW.tolist()]


def test_a_message_holds_the_row_and_the_answer_is_read() -> None:
    request: Any = inference_pb2.ModelInferRequest.FromString(message(ROW, ["probability"]))
    assert np.frombuffer(request.raw_input_contents[0], "<f4").tolist() == ROW.tolist()
    assert [output.name for output in request.outputs] == ["probability"]

    class Version:
        model, number = "m", 1

        class saved:  # noqa: N801
            outputs = OUTPUTS

    share = np.full((1, 10), 0.1, np.float32)
    version: Any = Version
    answer = open_inference.write(request, version, ["probability"], {"probability": share})
    assert told(answer.SerializeToString()).tolist() == share.ravel().tolist()


def test_the_large_model_is_of_as_many_matrices_as_fit_and_answers(tmp_path: Path) -> None:
    large_onnx_model(tmp_path / "m", 8)
    assert (tmp_path / "m/weights.bin").stat().st_size == 8 << 20
    found = open_model(tmp_path / "m").predict({"x": np.ones((2, 1024), np.float32)})
    assert found["y"].shape == (2, 1024)
