"""What `models` says where there is nothing, or nothing that answers; test_rollout has the rest."""

import json
from pathlib import Path

import pytest

from colchis_steps import models
from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Alias
from colchis_steps._store.api import Store
from colchis_steps._store.opening import open_store

THEN = "2026-01-01T00:00:00Z"


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("COLCHIS_HOME", str(tmp_path))
    monkeypatch.delenv("COLCHIS_PORT", raising=False)
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def served(local: Store) -> Store:
    """A store whose alias names an endpoint at which nothing answers: port 9 is "discard"."""
    alias = Alias("digits", 2, THEN, previous=1, endpoint="http://127.0.0.1:9/v1/models/digits")
    local.write("models/digits/aliases/stable.json", encode(alias))
    return local


def test_a_model_that_does_not_answer_is_listed_as_such(served: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert models.main(["list"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["MODEL", "LATEST", "STABLE", "CANARY", "VERDICT", "IMAGE", "WHERE", "ENDPOINT", "UP"]
    assert row.split() == ["digits", "-", "2", "-", "-", "-", "local", "http://127.0.0.1:9/v1/models/digits", "no"]


def test_an_empty_store_lists_nothing(
    local: Store, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
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
        ("list --store ftp://host", "is no store"),
    ],
)
def test_models_says_what_is_missing(
    local: Store, caplog: pytest.LogCaptureFixture, command: str, sentence: str
) -> None:
    assert models.main(command.split()) == 65
    assert sentence in caplog.text


def test_a_broken_alias_is_named(served: Store, caplog: pytest.LogCaptureFixture) -> None:
    served.write("models/digits/aliases/stable.json", json.dumps({"kind": "other/v1"}).encode())
    assert models.main(["list"]) == 65
    assert "models/digits/aliases/stable.json is not a colchis.dev/alias/v1 document" in caplog.text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["1=50,2=49"], "add up to 99; make them 100"),
        (["one=100"], "write 1=50,2=50"),
        (["1=100", "--headers=style transfer=2"], "write style: transfer=2"),
    ],
)
def test_shares_that_are_none_are_a_usage_error(
    local: Store, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        models.main(["share", "digits", *words])
    assert sentence in capsys.readouterr().err
