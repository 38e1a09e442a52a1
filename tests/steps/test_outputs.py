"""Models whose output is no class: adopted without data, they keep rows, are published and predict whole files."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.steps.onnx_models import model, node, save
from tests.steps.registered import put_on_record

from colchis_steps import adopt, batch, evaluate, report
from colchis_steps._formats.keys import candidate_key, golden_key
from colchis_steps._formats.models import Candidate, Golden, Manifest, Record
from colchis_steps._rollout.golden import difference
from colchis_steps._rollout.journal import described
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

SUMS = np.array([[1, 1], [1, 1]], np.float32)
WORDS = np.array(["grün", 'b,"c'], object)
ROWS = pa.table({"x": pa.array([[1, 2], [-3, 1]], pa.list_(pa.float32()))})
Case = tuple[list[Any], dict[str, tuple[str, Any]], str, dict[str, list[Any]], str]
CASES: dict[str, Case] = {  # nodes, outputs, task, columns of a batch, and the served outputs
    "value": (
        [node("ReduceSum", "x one", "price", keepdims=1)],
        {"price": ("float32", ["rows", 1])},
        "regression",
        {"value": [3.0, -2.0]},
        "value",
    ),
    "values": (
        [node("MatMul", "x sums", "both")],
        {"both": ("float32", ["rows", 2])},
        "regression",
        {"value_0": [3.0, -2.0], "value_1": [3.0, -2.0]},
        "value",
    ),
    "vector": (
        [node("Concat", " ".join(["x"] * 8), "embedding", axis=1)],
        {"embedding": ("float32", ["rows", 16])},
        "none",
        {"embedding": [[1.0, 2.0] * 8, [-3.0, 1.0] * 8]},
        "embedding",
    ),
    "two": (
        [node("ReduceSum", "x one", "sum", keepdims=0), node("Identity", "x", "same")],
        {"sum": ("float32", ["rows"]), "same": ("float32", ["rows", 2])},
        "none",
        {"sum": [3.0, -2.0], "same": [[1.0, 2.0], [-3.0, 1.0]]},
        "same sum",
    ),
    "text": (
        [node("ArgMin", "x", "at", axis=1, keepdims=0), node("Gather", "words at", "word")],
        {"word": ("string", ["rows"])},
        "none",
        {"word": ["grün".encode(), "grün".encode()]},
        "word",
    ),
    "number": (
        [node("ArgMax", "x", "at", axis=1, keepdims=0)],
        {"at": ("int64", ["rows"])},
        "none",
        {"at": [1, 1]},
        "at",
    ),
}


@pytest.fixture
def here(tmp_path: Path) -> Objects:
    (tmp_path / "store").mkdir()
    return open_store((tmp_path / "store").as_uri())


def publish(store: Objects) -> tuple[Manifest, Record]:
    """Put the run's candidate on record as version 1, as upload and register do."""
    found = read_document(store, candidate_key("r"), Candidate)
    for file in found.files:
        blob = f"blobs/sha256/{file.sha256}"
        store.write(blob, store.read(f"runs/r/candidate/{blob}"))
    made = Manifest("m", 1, "r", found.files, found.tree, "", task=found.task, format="onnx", origin=found.origin)
    return made, put_on_record(store, made, "image@sha256:1", verdict="unjudged", evaluation="", format="onnx")


def predict(store: Objects, root: Path) -> int:
    """Predict ROWS with version 1, into the directory ``to``."""
    pq.write_table(ROWS, root / "rows.parquet")
    flags = [f"--store={store.url}", f"--from={root / 'rows.parquet'}", f"--to={root / 'to'}"]
    return batch.main(["m", "--version=1", *flags])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_output_of_any_kind_is_kept_published_and_predicted(here: Objects, tmp_path: Path, case: Case) -> None:
    nodes, outputs, task, columns, names = case
    constants = {"one": np.array([1]), "sums": SUMS, "words": WORDS}
    source = save(tmp_path / "made", model(nodes, {"x": ("float32", ["rows", 2])}, outputs, constants))
    base = [f"--store={here.url}", "--run=r", "--model=m"]
    assert adopt.main([*base, f"--source={source}", "--unjudged=true", f"--task={task}"]) == 0
    assert evaluate.main([*base, "--data="]) == 0
    golden = read_document(here, golden_key("r"), Golden)
    assert sorted(golden.outputs) == names.split()
    assert difference(golden.outputs, golden.outputs) == ""
    assert described("", *publish(here)).task == ("" if task == "none" else task)
    assert predict(here, tmp_path) == 0
    assert pq.read_table(tmp_path / "to").drop_columns(["row"]).to_pydict() == columns


def test_a_batch_needs_lengths_that_are_known(here: Objects, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    free = ("float32", ["rows", "any"])
    source = save(tmp_path / "made", model([node("Identity", "x", "y")], {"x": free}, {"y": free}))
    assert adopt.main([f"--store={here.url}", "--run=r", "--model=m", f"--source={source}", "--unjudged=true"]) == 0
    publish(here)
    assert predict(here, tmp_path) == 65
    assert "m version 1 takes x of the shape [None], any length where" in caplog.text
    here.delete(candidate_key("r"))
    assert predict(here, tmp_path) == 65
    assert "adopted without data by run r, which is gone" in caplog.text


def test_an_output_does_not_hide_the_rows_key(here: Objects, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    two = ("float32", ["rows", 2])
    source = save(tmp_path / "made", model([node("Identity", "x", "row")], {"x": two}, {"row": two}))
    assert adopt.main([f"--store={here.url}", "--run=r", "--model=m", f"--source={source}", "--unjudged=true"]) == 0
    publish(here)
    assert predict(here, tmp_path) == 65
    assert "the model's output 'row' has the name of the rows' key; rename one of them" in caplog.text


def test_the_report_says_that_nobody_judged_it(here: Objects, tmp_path: Path) -> None:
    two = ("float32", ["rows", 2])
    source = save(tmp_path / "made", model([node("Identity", "x", "y")], {"x": two}, {"y": two}))
    base = [f"--store={here.url}", "--run=r"]
    assert adopt.main([*base, "--model=m", f"--source={source}", "--unjudged=true"]) == 0
    assert evaluate.main([*base, "--model=m", "--data="]) == 0
    assert report.main([*base, "--status=Succeeded", f"--report-path={tmp_path / 'report.html'}"]) == 0
    assert "Nobody has judged it: it was adopted without data." in (tmp_path / "report.html").read_text()
