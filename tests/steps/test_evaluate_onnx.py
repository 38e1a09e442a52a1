"""Evaluation of real ONNX models: verdicts, golden rows, a baseline, and what the gate says of others."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.steps.onnx_models import model, node, save, thirds
from tests.steps.training_data import COLUMNS, write_data

from colchis_steps import evaluate
from colchis_steps._content.storing import store_directory
from colchis_steps._formats.data_v1 import Column
from colchis_steps._formats.documents import converted, decode, encode, now
from colchis_steps._formats.models import Alias, Candidate, Code, Golden, Manifest, tree_digest
from colchis_steps._formats.runs import Evaluation, StepResult
from colchis_steps._onnx.loading import OnnxModel
from colchis_steps._rollout.golden import difference
from colchis_steps._store.opening import open_store
from colchis_steps._tensors.values import plain


class Gate:
    """A store with data and candidates."""

    def __init__(self, root: Path) -> None:
        self.root, self.store = root, open_store((root / "store").as_uri())
        self.data = write_data(root / "data", {"train": [3], "eval": [3], "test": [40, 20]})

    def candidate(self, made: Any, run: str = "r", more: dict[str, bytes] | None = None) -> Candidate:
        directory = save(self.root / run, made)
        for name, content in (more or {}).items():
            (directory / name).write_bytes(content)
        files = tuple(store_directory(self.store, directory).files)
        signature: Any = {"inputs": {}, "outputs": {}}
        found = Candidate(run, "m", files, tree_digest(files), "", "sha256:d", Code("m:f"), {}, signature, {}, now())
        self.store.write(f"runs/{run}/candidate/model.json", encode(found))
        return found

    def judge(self, run: str = "r", data: str = "", *, says: str = "") -> Evaluation | None:
        flags = [f"--store={self.store.url}", f"--run={run}", "--model=m", f"--data={data or self.data}"]
        code = evaluate.main(flags)
        result = decode(StepResult, self.store.read(f"runs/{run}/evaluate.json"), run)
        assert says in result.message
        assert code == (65 if says else 0), result.message
        return None if says else converted(result.details, Evaluation)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def test_a_model_is_judged_by_what_it_answers(gate: Gate) -> None:
    gate.candidate(thirds())
    found = gate.judge()
    assert found
    assert (found.verdict, found.rows, found.metrics["accuracy"]) == ("pass", 60, 1.0)
    content = gate.store.read("runs/r/golden.json")
    assert found.golden == f"sha256:{hashlib.sha256(content).hexdigest()}"
    golden = decode(Golden, content, "golden")
    asked = OnnxModel(gate.root / "r").predict({"image": np.array(golden.inputs["image"], np.uint8)})
    assert len(golden.outputs["class"]) == 32
    assert difference(golden.outputs, {name: plain(values) for name, values in asked.items()}) == ""


def test_it_is_compared_with_what_is_stable(gate: Gate) -> None:
    files = gate.candidate(thirds(), "before").files
    gate.store.write("models/m/1/manifest.json", encode(Manifest("m", 1, "before", files, tree_digest(files), now())))
    gate.store.write("models/m/aliases/stable.json", encode(Alias("m", 1, now())))
    gate.candidate(thirds(0.0))
    found = gate.judge()
    assert found
    assert (found.verdict, found.baseline_version, found.baseline_metrics["accuracy"]) == ("fail", 1, 1.0)


WIDE = {"image": ("float32", ["rows", 4, 4])}
FLAT = [node("Flatten", "image", "probability")]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (thirds(probability="output_probability"), "has the output probability none, and the data has 3 classes"),
        (
            model(FLAT, WIDE, {"probability": ("float32", ["rows", 16])}),
            "takes image float32[4, 4], and the data has image uint8[4, 4]",
        ),
        (
            model(FLAT, {"image": ("float16", ["rows", 4, 4])}, {"probability": ("float16", ["rows", 16])}),
            "takes image float16[4, 4], and the data has image uint8[4, 4]",
        ),
        (
            model([node("Identity", "image", "y")], {"image": ("string", ["rows"])}, {"y": ("string", ["rows"])}),
            "takes image string[], and the data has image uint8[4, 4]",
        ),
        (
            model(FLAT, {"image": ("uint8", [1, 4, 4])}, {"probability": ("uint8", [1, 16])}),
            "takes image uint8[4, 4] by 1 row (export it with a free first length), and the data has image uint8[4, 4]",
        ),
    ],
    ids=["output", "dtype", "float16", "text", "one row"],
)  # fmt: skip
def test_a_model_that_does_not_fit_the_data_is_told_so(gate: Gate, made: Any, says: str) -> None:
    gate.candidate(made)
    gate.judge(says=f"the model of run r {says}")


def test_two_models_in_one_candidate_are_none(gate: Gate) -> None:
    gate.candidate(thirds(), more={"saved_model.pb": b"graph"})
    gate.judge(says="the model of run r has saved_model.pb and model.onnx, so two models; leave one of them out")


def test_a_damaged_model_is_refused(gate: Gate) -> None:
    gate.candidate(thirds(), more={"model.onnx": b"damaged"})
    gate.judge(says="the model of run r is not a model that onnxruntime")


def test_rows_that_the_model_refuses_are_told(gate: Gate) -> None:
    nodes = [
        node("Cast", "image", "places", to=7),
        node("Gather", "table places", "looked"),
        node("ReduceSum", "looked last", "sums", keepdims=0),
        node("Slice", "sums first end one", "probability"),
    ]
    constants = {"table": np.ones(2, np.float32), "last": [2], "first": [0], "end": [3], "one": [1]}
    outputs = {"probability": ("float32", ["rows", 3])}
    gate.candidate(model(nodes, {"image": ("uint8", ["rows", 4, 4])}, outputs, constants))
    gate.judge(says="the model of run r fails at rows of the split test (the model refuses these values")


def test_an_output_of_another_width_is_told(gate: Gate) -> None:
    columns = (Column(name="image", dtype="float32", shape=(4, 4)), COLUMNS[1])
    data = write_data(gate.root / "wide", {"train": [3], "eval": [3], "test": [30]}, columns)
    gate.candidate(model(FLAT, WIDE, {"probability": ("float32", ["rows", 16])}))
    gate.judge(data=data, says="has the output probability [None, 16], and the data has 3 classes")
