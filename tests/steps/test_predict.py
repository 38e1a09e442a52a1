"""What `predict` says where nothing is served or the request is wrong; test_rollout asks a real server."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.steps.training_data import CLASSES, shard_of, write_manifest

from colchis_steps import predict
from colchis_steps._asking import words
from colchis_steps._formats.data_v1 import Column
from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.models import Alias, Candidate, Code, Record
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    monkeypatch.setenv("COLCHIS_HOME", str(tmp_path))
    return open_store((tmp_path / "store").as_uri())


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ([], "no version of digits is served"),
        (["--json", "{"], "--json is not JSON"),
        (["--json", "[1]"], "--json is not an object"),
        (["--json", "{}", "--url", "ftp://host/x"], "is not an address of a model"),
    ],
)
def test_predict_says_what_is_wrong(
    local: Objects, caplog: pytest.LogCaptureFixture, flags: list[str], sentence: str
) -> None:
    assert predict.main(["digits", *flags]) == 65
    assert sentence in caplog.text


def test_a_server_that_is_away_can_be_started(local: Objects, caplog: pytest.LogCaptureFixture) -> None:
    endpoint = "http://127.0.0.1:9/v1/models/digits"  # "discard": nothing answers there
    alias = Alias("digits", 2, "2026-01-01T00:00:00Z", endpoint=endpoint)
    local.write("models/digits/aliases/stable.json", encode(alias))
    assert predict.main(["digits", "--json", '{"instances": [1]}']) == 75
    assert "no model server answers at 127.0.0.1:9; start it with: colchis models start" in caplog.text


def test_a_prediction_is_told_in_one_line() -> None:
    names = ("cat", "dog")
    assert (
        words.in_words({"class": 1, "probability": [0.1, 0.9]}, names, 0)
        == "prediction dog (probability 0.900), label cat"
    )
    assert words.in_words({"class": 4}, names, 1) == "prediction 4, label dog"
    assert words.in_words(0.5, names, 1) == "prediction 0.5, label dog"


def test_a_row_has_the_columns_that_the_version_takes_and_bytes_are_text(
    local: Objects, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights of rows are a column of the data, and no input of the model."""
    rows = {"job": np.array([b"poet", b"caf\xc3\xa9"]), "age": np.array([30, 40]), "weight": np.array([1.0, 2.0])}
    (tmp_path / "data").mkdir()
    shard = shard_of(tmp_path / "data", "test.npz", {**rows, "label": np.array([0, 1])})
    columns = tuple(Column(name, str(values.dtype)) for name, values in rows.items())
    label = Column("label", "int64", classes=CLASSES)
    write_manifest(tmp_path / "data", {"test": (shard,)}, (*columns, label))
    data = (tmp_path / "data").as_uri()
    assert predict.main(["jobs", "--row=1", f"--data={data}", "--show-instance"]) == 0
    assert json.loads(capsys.readouterr().out) == {"job": "café", "age": 40, "weight": 2.0}
    record = Record(
        model="jobs", version=1, run="r", image="", digest="", tree="", manifest="", manifest_digest="", data=data,
        data_digest="", code=Code("e:e"), hyperparameters={}, metrics={}, verdict="pass", frameworks={},
        step_images={}, workflow="", created_by="", created_at=now(),
    )  # fmt: skip
    signature = {"inputs": {name: {"dtype": "string", "shape": [None]} for name in ("age", "job")}, "outputs": {}}
    candidate = Candidate("r", "jobs", (), "", data, "", Code("e:e"), {}, signature, {}, now())
    local.write("models/jobs/1/record.json", encode(record))
    local.write("runs/r/candidate/model.json", encode(candidate))
    local.write(
        "models/jobs/aliases/stable.json", encode(Alias("jobs", 1, now(), endpoint="http://127.0.0.1:9/v1/models/jobs"))
    )
    assert predict.main(["jobs", "--row=1", "--show-instance"]) == 0
    assert json.loads(capsys.readouterr().out) == {"job": "café", "age": 40}
