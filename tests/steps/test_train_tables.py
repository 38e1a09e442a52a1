"""The entry for any data on tables of every task: trained, made a version, served, asked rows as the data has them."""

import json
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv
from tests.steps import tables
from tests.steps.training_data import Trainer

from colchis_steps import predict, upload
from colchis_steps._content.fetching import fetch_files
from colchis_steps._formats.data import Task
from colchis_steps._formats.keys import manifest_key
from colchis_steps._formats.models import Code, Golden, Manifest, Record
from colchis_steps._rollout.golden import skew
from colchis_steps._rollout.journal import described
from colchis_steps._serving.config import Config, ServedModel, write_config
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

pytestmark = [pytest.mark.tensorflow, pytest.mark.servers]
MADE: dict[str, Callable[[], tuple[pa.Table, Task]]] = {
    "penguins": tables.penguins,
    "diabetes": tables.diabetes,
    "multilabel": tables.multilabel,
}


@pytest.fixture(scope="module")
def trainers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trainer]:
    found = {}
    for name, make in MADE.items():
        root = tmp_path_factory.mktemp(name)
        table, task = make()
        found[name] = Trainer(root, tables.write_table(root / "data", tables.divided(table), task))
        done = found[name].train("r1")
        assert done.returncode == 0, done.stderr
    return found


@pytest.fixture(scope="module")
def url(trainers: dict[str, Trainer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve them all, as a rollout writes the configuration."""
    top, models = tmp_path_factory.mktemp("served"), {}
    for name, trainer in trainers.items():
        store = open_store(trainer.store)
        assert upload.main([f"--store={trainer.store}", "--run=r1", "--model=thirds"]) == 0
        manifest = read_document(store, manifest_key("thirds", 1), Manifest)
        fetch_files(store, manifest.files, top / name / "1")
        models[name] = ServedModel({1: described(str(top / name / "1"), manifest, record(manifest))})
    write_config(top / "config.json", Config(models))
    with (top / "log").open("wb") as log:
        command = [sys.executable, "-m", "colchis_steps.serve", "--port=0", f"--config={top / 'config.json'}"]
        process = subprocess.Popen(command, stderr=log)
    try:
        deadline = time.monotonic() + 150
        while (text := (top / "log").read_text()).count("is loaded and warm") < len(models):
            assert time.monotonic() < deadline, text
            assert process.poll() is None, text
            select.select([], [], [], 0.05)
        address = re.search(r"http://\S+", text)
        assert address
        yield address.group()
    finally:
        process.terminate()
        process.wait(30)


def record(manifest: Manifest) -> Record:
    nothing: dict[str, Any] = {"image": "", "digest": "", "manifest": "", "manifest_digest": "", "data": ""}
    nothing |= {"data_digest": "", "hyperparameters": {}, "metrics": {}, "verdict": "", "frameworks": {}}
    nothing |= {"step_images": {}, "workflow": "", "created_by": "", "created_at": "", "code": Code("")}
    return Record(model="thirds", version=1, run="r1", tree=manifest.tree, **nothing)


def rows_of(trainer: Trainer, label: str) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the test split as JSON has it, nulls too, and its labels."""
    found = tables.split_of(trainer.root / "data", "test")
    return json.loads(json.dumps(found.drop([label]).to_pylist())), found[label].to_pylist()


def ask(url: str, model: str, body: Any) -> Any:
    answer = httpx.post(f"{url}/v1/models/{model}:predict", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions" if "instances" in body else "outputs"]


def test_text_and_nulls_are_served_as_the_data_has_them(trainers: dict[str, Trainer], url: str) -> None:
    rows, species = rows_of(trainers["penguins"], "species")
    answers = ask(url, "penguins", {"instances": rows})
    assert np.mean([answer["label"] == name for answer, name in zip(answers, species, strict=True)]) > 0.9
    nothing = dict.fromkeys(rows[0], None) | {"island": "Dream"}
    (alone,) = ask(url, "penguins", {"instances": [nothing]})
    assert set(alone) == {"class", "probability", "label"}
    assert ask(url, "penguins", {"instances": [{"island": "Dream"}]}) == [alone]
    columns = ask(url, "penguins", {"inputs": {name: [row[name] for row in rows] for name in rows[0]}})
    assert columns["class"] == [answer["class"] for answer in answers]


def test_a_null_where_the_data_had_none_is_refused(trainers: dict[str, Trainer], url: str) -> None:
    rows, _ = rows_of(trainers["penguins"], "species")
    answer = httpx.post(f"{url}/v1/models/penguins:predict", json={"instances": [rows[0] | {"island": None}]})
    assert answer.status_code == 400
    assert "island holds null; send strings" in answer.json()["error"]


def test_a_regression_answers_values(trainers: dict[str, Trainer], url: str) -> None:
    rows, wanted = rows_of(trainers["diabetes"], "progression")
    values = np.array(ask(url, "diabetes", {"instances": rows}))
    assert values.shape == (len(rows), 1)
    assert 1 - np.var(values[:, 0] - wanted) / np.var(wanted) > 0.3  # R²; a linear model has 0.4 to 0.5
    candidate = trainers["diabetes"].candidate("r1")
    assert candidate.signature["outputs"] == {"value": {"dtype": "float32", "shape": [None, 1]}}


def test_several_labels_are_told_by_name(trainers: dict[str, Trainer], url: str) -> None:
    rows, wanted = rows_of(trainers["multilabel"], "tags")
    answers = ask(url, "multilabel", {"instances": rows})
    assert np.mean([answer["labels"] == tags for answer, tags in zip(answers, wanted, strict=True)]) > 0.85
    assert len(answers[0]["probability"]) == 3


def test_a_file_of_rows_is_predicted(
    trainers: dict[str, Trainer], url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tables.split_of(trainers["penguins"].root / "data", "test")
    csv.write_csv(rows, tmp_path / "rows.csv")
    flags = [f"--from={tmp_path / 'rows.csv'}", f"--url={url}/v1/models/penguins", f"--store={tmp_path.as_uri()}"]
    assert predict.main(["penguins", *flags]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert re.match(r"row +prediction +probability", printed[0])
    assert len(printed) == rows.num_rows + 1
    assert predict.main(["penguins", *flags, f"--to={tmp_path / 'answers.parquet'}"]) == 0
    found = pq.read_table(tmp_path / "answers.parquet")
    assert found.column_names == [*rows.column_names, "prediction", "probability"]
    assert np.mean(found["prediction"].to_numpy() == found["species"].to_numpy()) > 0.9


def test_a_row_is_told_in_one_line(
    trainers: dict[str, Trainer], url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = {
        "penguins": r"prediction (Adelie|Chinstrap|Gentoo) \(probability [01]\.\d{3}\), label \w+\n",
        "diabetes": r"value [\d.]+, label \d+\n",
        "multilabel": r"prediction [\w, ]+, label [\w, ]+\n",
    }
    for name, line in lines.items():
        flags = [f"--data={trainers[name].data}", f"--url={url}/v1/models/{name}", f"--store={tmp_path.as_uri()}"]
        assert predict.main([name, "--row=3", *flags]) == 0
        assert re.fullmatch(line, capsys.readouterr().out)


def test_the_golden_rows_are_answered_as_they_were(trainers: dict[str, Trainer], url: str) -> None:
    """With the nulls that are among them, which JSON has as NaN has no name there."""
    rows, _ = rows_of(trainers["penguins"], "species")
    rows[0]["bill_length_mm"], nan = None, float("nan")
    given = [{name: nan if value is None and name != "sex" else value for name, value in row.items()} for row in rows]
    inputs = {name: [row[name] for row in given] for name in given[0]}
    wanted = ask(url, "penguins", {"inputs": {name: [row[name] for row in rows] for name in rows[0]}})
    assert not skew(Golden("r1", inputs, wanted), url, "penguins", 1)
