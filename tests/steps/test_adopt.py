"""The adopt step: what exists becomes a candidate, once, and without data only where somebody says so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.steps.onnx_made import linear
from tests.steps.task_data import write_set

from colchis_steps._formats.data import Task
from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import candidate_key, golden_key
from colchis_steps._formats.models import Candidate, Golden, Manifest, tree_digest
from colchis_steps._formats.runs import StepResult
from colchis_steps._models.candidates import blobs_of
from colchis_steps._step.home import HERE
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps.adopt import main
from colchis_steps.evaluate import main as evaluate

WEIGHTS = [[3.0, -3.0], [-3.0, 3.0]]
TASK = Task("classification", ("side",), ("left", "right"))


@pytest.fixture
def here(tmp_path: Path) -> Objects:
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return linear(tmp_path / "made/onnx/model.onnx", WEIGHTS)


def rows(store: Objects, name: str = "sides") -> str:
    """Write a data set of two columns, of which the greater tells the class."""
    values = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    columns = {"a": values[:, 0], "b": values[:, 1], "side": [TASK.classes[i] for i in values.argmax(axis=1)]}
    return write_set(Path(store.url.removeprefix("file://")) / "data" / name / "1", columns, TASK)


def adopt(store: Objects, source: Path | str, *more: str, run: str = "r1") -> int:
    return main([f"--store={store.url}", f"--run={run}", "--model=sides", f"--source={source}", *more])


def candidate(store: Objects, run: str = "r1") -> Candidate:
    return read_document(store, candidate_key(run), Candidate)


def test_a_model_is_judged_on_data_under_the_names_of_their_task(here: Objects, model: Path, tmp_path: Path) -> None:
    data, out = rows(here), tmp_path / "out"
    outputs = [f"--{name}-path={out / name}" for name in ("tree", "data-digest", "wanted")]
    assert adopt(here, model.parents[1], f"--data={data}", *outputs) == 0
    found = candidate(here)
    assert found.origin
    assert (found.origin.path, found.origin.format, found.origin.wrapped) == ("onnx/model.onnx", "onnx", True)
    assert found.origin.digest != found.tree == tree_digest(found.files) == (out / "tree").read_text()
    assert (found.data, found.format, found.beside) == ("data/sides/1", "onnx", True)
    assert (out / "wanted").read_text() == "pass"
    assert (out / "data-digest").read_text() == found.data_digest
    assert found.signature["inputs"] == {n: {"dtype": "float32", "shape": [None]} for n in ("a", "b")}
    assert sorted(found.signature["outputs"]) == ["class", "probability"]
    blobs = blobs_of(here, "r1")
    assert {key.rpartition("/")[2] for key in blobs.keys("blobs/")} == {file.sha256 for file in found.files}
    result = read_document(here, "runs/r1/training/adopt.json", StepResult)
    assert (result.status, result.outputs["wanted"]) == ("succeeded", "pass")


def test_the_same_again_is_the_same(here: Objects, model: Path) -> None:
    data = rows(here)
    for _ in range(2):
        assert adopt(here, model, f"--data={data}") == 0
    first = candidate(here)
    made = Manifest("sides", 1, "r1", first.files, first.tree, "", origin=first.origin)
    here.write("models/sides/1/manifest.json", encode(made))
    for file in first.files:  # as upload puts them
        here.write(f"blobs/sha256/{file.sha256}", blobs_of(here, "r1").read(f"blobs/sha256/{file.sha256}"))
    (model.parents[2] / "elsewhere").mkdir()
    again = model.rename(model.parents[2] / "elsewhere/other.onnx")
    assert adopt(here, again, f"--data={data}", run="r2") == 0
    found = candidate(here, "r2")
    assert (found.tree, found.files, found.signature) == (first.tree, first.files, first.signature)
    assert not found.beside
    linear(again, [[1.0, 0.0], [0.0, 1.0]])
    assert adopt(here, again, f"--data={data}", run="r3") == 0
    assert candidate(here, "r3").tree != first.tree


def test_without_data_it_is_unjudged_and_its_rollout_has_rows(
    here: Objects, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLCHIS_ASK_IMAGE", "ghcr.io/colchis/train:1")
    monkeypatch.setenv("COLCHIS_HERE", "true")
    said = ["--unjudged=true", "--task=classification", "--classes=left,right", f"--wanted-path={tmp_path / 'wanted'}"]
    assert adopt(here, model, *said) == 0
    found = candidate(here)
    assert (found.data, found.data_digest, found.task, found.classes) == ("", "", "classification", ("left", "right"))
    assert (tmp_path / "wanted").read_text() == "unjudged"
    places = [f"--{name}-path={tmp_path / name}" for name in ("verdict", "tree", "evaluation", "golden", "baseline")]
    assert evaluate([f"--store={here.url}", "--run=r1", "--model=sides", "--data=", *places]) == 0
    assert [(tmp_path / name).read_text() for name in ("verdict", "tree", "baseline")] == [
        "unjudged",
        found.tree,
        "none",
    ]
    result = read_document(here, "runs/r1/evaluate.json", StepResult)
    assert (result.verdict, result.details["metrics"], result.details["checks"]) == ("unjudged", {}, [])
    assert result.details["images"] == {"ask": HERE}  # the image that a pod would have had never ran
    golden = read_document(here, golden_key("r1"), Golden)
    assert golden.inputs == {"input": [[0.0, 0.0], [1.0, 1.0]]}
    assert golden.outputs["class"] == [0, 0]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "nothing says how good the model is; give --data URI to judge it on, or --unjudged"),
        (["--data={data}", "--unjudged=true"], "--unjudged is given, and data to judge on"),
        (
            ["--data={data}", "--task=regression"],
            "is classification with 2 classes, not regression with 0; leave --task",
        ),
        (["--data={data}", "--classes=a"], "leave --task and --classes out"),
        (
            ["--unjudged=true", "--task=classification", "--classes=a,b,c"],
            "of which nothing is one probability a class",
        ),
        (["--data={data}", "--output=nothing"], "has no output 'nothing', but scores float32[2]"),
        (["--data={logits}", "--unjudged=false"], "if these are logits, say --activation=sigmoid"),
    ],
    ids=["nothing", "both", "task", "classes", "width", "output", "logits"],
)
def test_what_cannot_be_adopted_has_its_sentence(
    here: Objects, model: Path, caplog: pytest.LogCaptureFixture, flags: list[str], words: str
) -> None:
    data = rows(here)
    if any("logits" in flag for flag in flags):
        linear(model, WEIGHTS, last="Identity")
    assert adopt(here, model, *(flag.format(data=data, logits=data) for flag in flags)) == 65
    assert words in caplog.text
    assert not list(here.keys("runs/r1/candidate/"))


def test_what_was_trained_is_never_unjudged(here: Objects, model: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert adopt(here, model, f"--data={rows(here)}") == 0
    assert evaluate([f"--store={here.url}", "--run=r1", "--model=sides", "--data="]) == 65
    assert "run r1 has a model that was made of data; name them as --data" in caplog.text
    thresholds = json.dumps({"accuracy": {"min": 0.9}})
    flags: list[Any] = ["--model=sides", "--data=", f"--thresholds={thresholds}"]
    assert evaluate([f"--store={here.url}", "--run=r1", *flags]) == 65
    assert "no data to judge by" in caplog.text
