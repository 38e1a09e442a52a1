"""What `predict` says where nothing is served or the request is wrong; test_rollout asks a real server."""

from pathlib import Path

import pytest

from colchis_steps import predict
from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Alias
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
        predict.in_words({"class": 1, "probability": [0.1, 0.9]}, names, 0)
        == "prediction dog (probability 0.900), label cat"
    )
    assert predict.in_words({"class": 4}, names, 1) == "prediction 4, label dog"
    assert predict.in_words(0.5, names, 1) == "prediction 0.5, label dog"
