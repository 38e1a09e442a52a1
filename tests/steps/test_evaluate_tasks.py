"""Evaluation of SavedModels of every task: numbers, labels that a row may have, two classes, and tasks not known."""

import hashlib
import io
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.steps.task_data import write_set
from tests.steps.task_models import Judge, judging

from colchis_steps import import_data
from colchis_steps._content.code import listed, pack
from colchis_steps._formats.data import Task
from colchis_steps._formats.documents import content_digest, encode, now
from colchis_steps._formats.keys import code_key, manifest_key, record_key, results_key, statement_key, version_prefix
from colchis_steps._formats.models import Alias, Code, Manifest, Record
from colchis_steps._models.verdict import evaluation_digest
from colchis_steps._store.opening import open_store

pytestmark = pytest.mark.tensorflow
RANDOM = np.random.default_rng(3)
ROWS = 500
X, Z = (RANDOM.normal(size=ROWS).astype(np.float32) for _ in range(2))
NUMBERS = {"x": X, "z": Z}
WORDS = [" ".join(RANDOM.choice(["red", "blue", "new", "old"], 2)) for _ in range(ROWS)]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with judging(tmp_path_factory.mktemp("tasks")) as found:
        yield found


@pytest.fixture(scope="module")
def price(tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = {**NUMBERS, "price": 2 * X + Z + 0.1, "region": ["north", "south"] * (ROWS // 2), "age": np.arange(ROWS)}
    roles: dict[str, Any] = {name: {"role": "slice"} for name in ("region", "age")}
    return write_set(tmp_path_factory.mktemp("data") / "price", rows, Task("regression", ("price",)), **roles)


@pytest.fixture(scope="module")
def risk(tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = {**NUMBERS, "ill": np.where(X + 0.3 * Z > 0, "yes", "no"), "w": np.where(X > 0, 2.0, 0.5)}
    task = Task("classification", ("ill",), ("no", "yes"))
    return write_set(tmp_path_factory.mktemp("data") / "risk", rows, task, w={"role": "weight"})


def test_numbers_are_judged_by_their_errors(judge: Judge, price: str) -> None:
    judge.serve(None)
    assert judge("linear", "linear", price) == 0
    found = judge.found("linear")
    assert (found.task, found.verdict, found.targets, found.rows) == ("regression", "pass", ("price",), ROWS)
    assert found.metrics["mae"] == pytest.approx(0.1, rel=1e-4)
    assert found.metrics["r2"] > 0.99
    assert [check.rule for check in found.checks] == [
        "r2 ≥ 0",
        "baseline or first model accepted",
        "better than a constant answer",
    ]
    assert {"region=north", "region=south"} <= found.slices.keys()
    assert found.slices["region=north"]["support"] == ROWS / 2
    ages = [name for name in found.slices if name.startswith("age=")]
    assert len(ages) == 5
    assert ages[0].startswith("age=0..")
    (residuals,) = found.residuals
    assert sum(residuals.rows) == ROWS
    assert residuals.mean == pytest.approx([-0.1] * len(residuals.mean), rel=1e-3)
    assert sum(map(sum, residuals.plane)) == ROWS
    assert found.samples[0].wrong >= found.samples[-1].wrong
    assert found.samples[0].text.startswith("x ")


def test_the_gate_bounds_errors_and_slices(judge: Judge, price: str) -> None:
    judge.serve("linear")
    flags = ["--thresholds=" + json.dumps({"rmse": {"max": 0.2, "max_change": 0.01}, "mae/region=*": {"max": 0.2}})]
    assert judge("mean", "mean", price, *flags) == 0
    found = judge.found("mean")
    assert found.verdict == "fail"
    assert [check.rule for check in found.checks] == [
        "rmse ≤ 0.2",
        "change of rmse ≤ 0.01",
        "mae/region=north ≤ 0.2",
        "mae/region=south ≤ 0.2",
        "answers differ by row",
    ]
    assert judge("linear", "same", price, *flags) == 0
    assert judge.found("same").verdict == "pass"
    assert judge("linear", "typo", price, '--thresholds={"accuracy": {"min": 0.5}}') == 65
    assert "only mae, mae/*, mape, r2, r2/*, rmse, rmse/*, size_mib, support/*" in judge.record("typo").message.replace(
        "mape/*, ", ""
    )


def test_a_value_that_is_no_number_never_passes(judge: Judge, price: str) -> None:
    judge.serve(None)
    assert judge("infinite", "infinite", price, "--thresholds={}") == 0
    found = judge.found("infinite")
    assert found.verdict == "fail"
    assert all(map(math.isnan, found.metrics.values()))


def test_several_targets_have_a_figure_each(judge: Judge, tmp_path: Path) -> None:
    judge.serve(None)
    for name, rows, targets in (
        ("columns", {"a": 2 * X + Z, "b": X - Z + 1}, ("a", "b")),
        (
            "vector",
            {"v": [list(pair) for pair in zip((2 * X + Z).tolist(), (X - Z + 1).tolist(), strict=True)]},
            ("v",),
        ),
    ):
        more: dict[str, Any] = {"v": {"shape": (2,), "type": "double"}} if name == "vector" else {}
        data = write_set(tmp_path / name, {**NUMBERS, **rows}, Task("regression", targets), **more)
        assert judge("two", name, data) == 0, judge.record(name).message
        found = judge.found(name)
        names = ("a", "b") if name == "columns" else ("v[0]", "v[1]")
        assert found.targets == names
        assert found.slices[f"target={names[0]}"]["mae"] == pytest.approx(0, abs=1e-5)
        assert found.slices[f"target={names[1]}"]["mae"] == pytest.approx(1, rel=1e-5)
        assert found.metrics["mae"] == pytest.approx(0.5, rel=1e-5)
    assert judge("linear", "narrow", data) == 65
    assert "has the output value [None, 1], and the data has 2 targets" in judge.record("narrow").message


def test_labels_that_a_row_may_have_are_judged_each(judge: Judge, tmp_path: Path) -> None:
    judge.serve(None)
    tags = [sorted(set(words.split()) - {"old"}) for words in WORDS]
    data = write_set(
        tmp_path / "tags",
        {"text": WORDS, "tags": tags},
        Task("multilabel", ("tags",), ("red", "blue", "new")),
        tags={"longest": 2},
    )
    assert judge("tags", "tags", data) == 0, judge.record("tags").message
    found = judge.found("tags")
    assert (found.task, found.verdict) == ("multilabel", "pass")
    assert found.metrics["subset_accuracy"] == found.metrics["micro_f1"] == found.metrics["auc"] == 1.0
    assert found.metrics["loss"] == pytest.approx(-math.log(0.9), rel=1e-4)
    assert found.slices["label=red"]["support"] == sum("red" in row for row in tags)
    assert {curve.kind for curve in found.curves} == {"roc", "pr"}
    assert found.samples[0].label == found.samples[0].prediction


def test_mistakes_about_pictures_show_them(judge: Judge, tmp_path: Path) -> None:
    judge.serve(None)
    tiles = []
    for colour in ("#ff0000", "#00ff00"):
        sink = io.BytesIO()
        Image.new("RGB", (40, 20), colour).save(sink, "PNG")
        tiles.append(sink.getvalue())
    rows = {"tile": [*tiles * 20, b"rubbish"], "colour": [*["red", "green"] * 20, "red"]}
    task = Task("classification", ("colour",), ("red", "green"))
    data = write_set(tmp_path / "tiles", rows, task, tile={"media": "image/png"})
    assert judge("picture", "tiles", data, "--thresholds={}") == 0, judge.record("tiles").message
    found = judge.found("tiles")
    drawn = [sample for sample in found.samples if sample.picture]
    assert len(drawn) >= 20
    first = drawn[0].picture
    assert first is not None
    assert (len(first.rows[0]), len(first.rows)) == (32, 16)
    assert first.palette[first.rows[0][0]] == ("#ff0000" if drawn[0].label == "red" else "#00ff00")
    assert all(sample.text == "" for sample in found.samples), "bytes are no words"


def test_weights_judge_and_rows_are_counted_without(judge: Judge, risk: str) -> None:
    judge.serve(None)
    assert judge("risk", "risk", risk, '--thresholds={"auc": {"min": 0.9}, "recall/*": {"min": 0.5}}') == 0
    found = judge.found("risk")
    assert (found.weight, found.rows, found.verdict) == ("w", ROWS, "pass")
    right = (X > 0) == (X + 0.3 * Z > 0)
    assert found.metrics["accuracy"] == pytest.approx(np.average(right, weights=np.where(X > 0, 2.0, 0.5)))
    assert sum(map(sum, found.confusion)) == ROWS
    assert [curve.kind for curve in found.curves] == ["roc", "pr", "calibration"]


def test_a_class_that_is_never_found_is_said(judge: Judge, risk: str) -> None:
    judge.serve(None)
    assert judge("never", "never", risk, "--thresholds={}") == 0
    warned = [check.reason for check in judge.found("never").checks if check.severity == "warn"]
    assert [reason for reason in warned if "rows of label=yes is predicted rightly" in reason]


def test_results_are_kept_row_by_row(judge: Judge, risk: str, price: str) -> None:
    judge.serve(None)
    for kind, data, most in (("risk", risk, 24), ("linear", price, 20)):
        assert judge(kind, f"kept-{kind}", data) == 0
        found = judge.found(f"kept-{kind}")
        content = open_store(judge.store).read(results_key(found.tree, found.data, found.results))
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == found.results
        rows = np.load(io.BytesIO(content), allow_pickle=False)
        assert len(rows) == ROWS
        assert rows.dtype.itemsize == most
    assert rows["absolute"].mean() == pytest.approx(found.metrics["mae"], rel=1e-5)


def test_a_negative_weight_is_refused_with_its_row(judge: Judge, tmp_path: Path) -> None:
    judge.serve(None)
    weights = np.ones(ROWS)
    weights[7] = -1
    data = write_set(
        tmp_path / "odd", {**NUMBERS, "p": X, "w": weights}, Task("regression", ("p",)), w={"role": "weight"}
    )
    assert judge("linear", "weights", data) == 65
    assert "value such as -1, the first in row 7, and is the weight" in judge.record("weights").message


def test_parts_that_were_left_in_place_are_judged_where_they_cannot_be_reached(
    judge: Judge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The container that asks gets copies: it has no key for the place where they lie."""
    judge.serve(None)
    (tmp_path / "files").mkdir()
    for i, split in enumerate(("train", "eval", "test")):
        rows = pa.table({"x": X + i, "z": Z, "price": 2 * (X + i) + Z})
        pq.write_table(rows, tmp_path / "files" / f"{split}.parquet")
    flags = ["--label=price", "--task=regression", "--in-place", f"--to={(tmp_path / 'store').as_uri()}"]
    assert import_data.main(["left", f"--from={tmp_path / 'files'}", *flags]) == 0
    data = capsys.readouterr().out.strip()
    parts = [f"--{name}={tmp_path / name}" for name in ("given", "answers", "measured")]
    assert judge("linear", "left", data, "--part=fetch", *parts) == 0
    shutil.rmtree(tmp_path / "files")
    shutil.rmtree(tmp_path / "store")
    for part in ("ask", "measure", "judge"):
        assert judge("linear", "left", data, f"--part={part}", *parts) == 0, judge.record("left").message
    assert judge.found("left").metrics["mae"] == pytest.approx(0, abs=1e-5)


def test_a_model_that_fails_at_rows_of_the_test_split_is_said(judge: Judge, price: str) -> None:
    judge.serve(None)
    assert judge("fails", "fails", price, "--allow-operations=Assert,Print,PrintV2") == 65
    assert "the model of run fails fails at rows of the split test" in judge.record("fails").message


OWN = """
import numpy as np

def business(labels, predictions, weights, rows):
    assert set(rows) == {"x", "z", "region", "age"}
    return {"cost": np.float64(np.abs(labels - predictions[:, 0]).mean()), "north": (rows["region"] == "north").sum()}

def outputs(labels, predictions, weights, rows):
    return {"gap": float(np.abs(predictions["left"].sum(axis=1) - predictions["right"]).max()), "rows": len(weights)}

def nan(labels, predictions, weights, rows):
    return {"cost": float("nan")}

def taken(labels, predictions, weights, rows):
    return {"rmse": 0.0}

def broken(labels, predictions, weights, rows):
    return {"cost": 1 / 0}
"""


def pushed(judge: Judge, tmp_path: Path, code: str = OWN) -> str:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text(code)
    content = pack(tmp_path / "code", listed(tmp_path / "code"), "")
    key = code_key(hashlib.sha256(content).hexdigest())
    open_store(judge.store).write(key, content)
    return f"{judge.store}/{key}"


def test_metrics_of_ones_own_are_judged_of_both_models(judge: Judge, price: str, tmp_path: Path) -> None:
    judge.serve("mean")
    code = pushed(judge, tmp_path)
    bounds = '--thresholds={"cost": {"max": 0.2, "max_change": 0}, "north": {"min": 250}}'
    assert judge("linear", "own", price, "--metrics=mine:business", f"--code={code}", bounds) == 0
    found = judge.found("own")
    assert found.verdict == "pass"
    assert found.metrics["cost"] == pytest.approx(found.metrics["mae"], rel=1e-5)
    assert found.baseline_metrics["cost"] == pytest.approx(found.baseline_metrics["mae"], rel=1e-5)
    assert found.own is not None
    assert (found.own.function, found.own.names) == ("mine:business", ("cost", "north"))
    assert found.own.code == f"sha256:{code.rpartition('/')[2].removesuffix('.zip')}"


def test_a_task_that_is_not_known_passes_on_metrics_of_ones_own_alone(judge: Judge, tmp_path: Path) -> None:
    judge.serve(None)
    data, code = write_set(tmp_path / "none", NUMBERS, Task("none")), pushed(judge, tmp_path)
    flags = ["--metrics=mine:outputs", f"--code={code}", '--thresholds={"gap": {"max": 0.001}}']
    assert judge("odd", "none", data, *flags) == 0, judge.record("none").message
    found = judge.found("none")
    assert (found.task, found.verdict, found.metrics["rows"], found.results) == ("none", "pass", ROWS, "")
    assert judge("odd", "bare", data) == 65
    assert "the task of " in judge.record("bare").message
    assert "there are no figures; name a function of yours" in judge.record("bare").message
    assert judge("odd", "open", data, *flags[:2]) == 65
    assert "no thresholds unless you give some" in judge.record("open").message


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("mine:nan", "metrics 'mine:nan' give cost = 'nan'; give a finite number"),
        ("mine:taken", "give 'rmse', which is a figure already"),
        ("mine:broken", "metrics 'mine:broken' raise ZeroDivisionError: division by zero (mine.py, line 18)"),
        ("mine:absent", "mine has no function 'absent'"),
        ("absent:f", "importing absent raises ModuleNotFoundError"),
        ("mine", "metrics 'mine' are not package.module:function"),
    ],
)
def test_metrics_that_fail_are_refused(judge: Judge, price: str, tmp_path: Path, function: str, says: str) -> None:
    judge.serve(None)
    assert judge("linear", "refused", price, f"--metrics={function}", f"--code={pushed(judge, tmp_path)}") == 65
    assert says in judge.record("refused").message


@pytest.mark.parametrize(
    "content",
    [
        b'{"kind": "colchis.dev/measured/v1", "candidate": {"cost": "NaN"}}',
        b'{"kind": "colchis.dev/measured/v1", "candidate": {"cost": [1]}}',
        b'{"kind": "colchis.dev/measured/v1", "candidate": {"../x": 1.0}}',
        b'{"kind": "colchis.dev/measured/v1", "candidate": {"a": 1.0}, "pad": "' + b"x" * 70_000 + b'"}',
        b"[]",
        b"\xff",
    ],
    ids=["nan", "list", "name", "size", "array", "bytes"],
)
def test_what_the_container_of_the_metrics_wrote_is_read_strictly(
    judge: Judge, price: str, tmp_path: Path, content: bytes
) -> None:
    judge.serve(None)
    parts = [f"--{name}={tmp_path / name}" for name in ("given", "answers", "measured")]
    for part in ("fetch", "ask"):
        assert judge("linear", "strict", price, f"--part={part}", *parts) == 0
    (tmp_path / "measured").mkdir()
    (tmp_path / "measured" / "measured.json").write_bytes(content)
    assert judge("linear", "strict", price, "--part=judge", "--metrics=mine:f", *parts) == 65
    assert "metrics 'mine:f' " in judge.record("strict").message


def test_metrics_run_where_no_key_is(judge: Judge, price: str, tmp_path: Path) -> None:
    code = """
import os
def f(labels, predictions, weights, rows):
    return {"keys": sum(name.startswith("AWS_") for name in os.environ)}
"""
    judge.serve(None)
    flags = ["--metrics=mine:f", f"--code={pushed(judge, tmp_path, code)}", '--thresholds={"keys": {"max": 0}}']
    assert judge("linear", "keyless", price, *flags) == 0, judge.record("keyless").message
    assert judge.found("keyless").verdict == "pass"


def registered(judge: Judge, kind: str, run: str, version: int) -> None:
    """Let stable name a version that an evaluation passed, with documents that agree."""
    candidate, store = judge.candidate(kind, run), open_store(judge.store)
    open_store(judge.store).write(f"runs/{run}/candidate/model.json", encode(candidate))
    manifest = Manifest("m", version, run, candidate.files, candidate.tree, now())
    store.write(manifest_key("m", version), encode(manifest))
    result = judge.record(run)
    record = Record(
        "m", version, run, "r/m@sha256:c0", "sha256:c0", candidate.tree, manifest_key("m", version),
        content_digest(encode(manifest)), "", judge.found(run).data, Code("m:f"), {}, judge.found(run).metrics, "pass",
        {}, {}, "", "", now(), evaluation_digest(result.details), judge.found(run).golden,
    )  # fmt: skip
    store.write(record_key("m", version), encode(record))
    documents = {"record.json": content_digest(encode(record)), "manifest.json": content_digest(encode(manifest))}
    statement = {
        "subject": [
            {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
            for name, digest in [
                (record.image, record.digest),
                (version_prefix("m", version), record.tree),
                *((file.path, file.sha256) for file in candidate.files),
            ]
        ],
        "predicate": {
            "runDetails": {
                "byproducts": [
                    {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
                    for name, digest in documents.items()
                ]
            }
        },
    }
    store.write(statement_key("m", version), json.dumps(statement).encode())
    store.write("models/m/aliases/stable.json", encode(Alias("m", version, now())))


def test_a_baseline_that_was_judged_on_the_same_data_is_not_asked_again(
    judge: Judge, price: str, tmp_path: Path
) -> None:
    judge.serve(None)
    assert judge("linear", "first", price) == 0
    registered(judge, "linear", "first", 4)
    results = open_store(judge.store)
    first = judge.found("first")
    key = results_key(first.tree, first.data, first.results)
    assert judge("mean", "second", price) == 0
    found = judge.found("second")
    assert (found.verdict, found.baseline_version, found.baseline_run) == ("fail", 4, "first")
    assert found.baseline_metrics == first.metrics
    assert any(check.rule == "mae not worse by more than 2 %" and not check.passed for check in found.checks)

    code = pushed(judge, tmp_path)
    flags = ["--metrics=mine:business", f"--code={code}"]
    assert judge("linear", "other-metrics", price, *flags) == 0
    assert judge.found("other-metrics").baseline_run == "", "its figures by this function are not known"
    assert judge.found("other-metrics").baseline_metrics["cost"] > 0

    whole = results.read(key)
    results.write(key, whole[:-4] + b"\0\0\0\0")
    assert judge("mean", "altered", price) == 0
    assert judge.found("altered").baseline_run == ""
    assert judge.found("altered").baseline_metrics == pytest.approx(first.metrics)
    results.delete(key)
    assert judge("mean", "gone", price) == 0
    assert judge.found("gone").baseline_run == ""
    results.write(key, whole)
    record = results.read("runs/first/evaluate.json")
    results.write("runs/first/evaluate.json", record.replace(b'"first_model":"accept"', b'"first_model":"reject"'))
    assert judge("mean", "another", price) == 0
    assert judge.found("another").baseline_run == "", "the version's record names another evaluation"
    results.write("runs/first/evaluate.json", record)
    judge.serve(None)
