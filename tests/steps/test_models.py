"""What `models` says where there is nothing, or nothing that answers; test_rollout has the rest."""

import json
from pathlib import Path
from typing import Any

import pytest

from colchis_steps import models
from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Alias, Code, Record
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store

THEN = "2026-01-01T00:00:00Z"


def record(model: str, version: int) -> Record:
    return Record(
        model=model, version=version, run="r", image="image", digest="sha256:1", tree="", manifest="",
        manifest_digest="", data="data/digits/0", data_digest="", code=Code("e:e"), hyperparameters={},
        metrics={"accuracy": 0.9}, verdict="pass", frameworks={}, step_images={}, workflow="", created_by="",
        created_at=THEN,
    )  # fmt: skip


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    monkeypatch.setenv("COLCHIS_HOME", str(tmp_path))
    monkeypatch.delenv("COLCHIS_PORT", raising=False)
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def served(local: Objects) -> Objects:
    """A store whose alias names an endpoint at which nothing answers: port 9 is "discard"."""
    alias = Alias("digits", 2, THEN, previous=1, endpoint="http://127.0.0.1:9/v1/models/digits")
    local.write("models/digits/aliases/stable.json", encode(alias))
    return local


def test_a_model_that_does_not_answer_is_listed_as_such(served: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    assert models.main(["list"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["MODEL", "LATEST", "STABLE", "CANARY", "VERDICT", "IMAGE", "WHERE", "ENDPOINT", "UP"]
    assert row.split() == ["digits", "-", "2", "-", "-", "-", "local", "http://127.0.0.1:9/v1/models/digits", "no"]


def test_an_empty_store_lists_nothing(
    local: Objects, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="colchis")
    assert models.main(["list"]) == 0
    assert (capsys.readouterr().out, "has no models yet" in caplog.text) == ("", True)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("show digits", "has no model digits"),
        ("show digits 3", "has no version 3 of digits"),
        ("rollback digits", "no version of digits is served"),
        ("rollback ../digits", "../digits"),
        ("start", "nothing was served from"),
        ("list --store ftp://host", "is not a store URL"),
    ],
)
def test_models_says_what_is_missing(
    local: Objects, caplog: pytest.LogCaptureFixture, command: str, sentence: str
) -> None:
    assert models.main(command.split()) == 65
    assert sentence in caplog.text


def test_a_broken_alias_is_named_and_hides_nothing_else(
    served: Objects, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    served.write("models/broken/aliases/stable.json", json.dumps({"kind": "other/v1"}).encode())
    assert models.main(["list"]) == 0
    assert "models/broken/aliases/stable.json is not a colchis.dev/alias/v1 document" in caplog.text
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == [["broken", "-", "-"], ["digits", "-", "2"]]


def test_a_broken_alias_is_never_taken_for_none(served: Objects, caplog: pytest.LogCaptureFixture) -> None:
    served.write("models/digits/aliases/stable.json", b"{")
    for verb in (["show", "digits"], ["rollback", "digits"]):
        assert models.main(verb) == 65
    assert caplog.text.count("stable.json is not a colchis.dev/alias/v1 document") == 2


@pytest.mark.parametrize("change", [{"tags": ["a"]}, {"kind": "colchis.dev/record/v2"}, {"version": None}])
def test_one_odd_record_hides_no_model(
    served: Objects, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    for model in ("digits", "odd"):
        raw = json.loads(encode(record(model, 2))) | (change if model == "odd" else {})
        served.write(f"models/{model}/2/record.json", json.dumps(raw).encode())
        served.write(f"models/{model}/aliases/latest.json", encode(Alias(model, 2, THEN)))
    assert models.main(["list"]) == 0
    digits, odd = (line.split() for line in capsys.readouterr().out.splitlines()[1:])
    assert digits[4:6] == ["pass,", "accuracy"]
    readable = "tags" in change
    assert odd[:2] == ["odd", "2"]
    assert ("accuracy" in odd, "models/odd/2/record.json" in caplog.text) == (readable, not readable)


def test_show_prints_what_a_newer_release_has_added(local: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    raw = json.loads(encode(record("digits", 2))) | {"tags": ["a"]}
    local.write("models/digits/2/record.json", json.dumps(raw).encode())
    assert models.main(["show", "digits", "2"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["tags"], shown["version"], shown["data"]) == (["a"], 2, f"{local.url}/data/digits/0")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["1=50,2=49"], "add up to 99; make them 100"),
        (["one=100"], "write 1=50,2=50"),
        (["1=100", "--headers=style transfer=2"], "write style: transfer=2"),
    ],
)
def test_shares_that_are_none_are_a_usage_error(
    local: Objects, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        models.main(["share", "digits", *words])
    assert sentence in capsys.readouterr().err
