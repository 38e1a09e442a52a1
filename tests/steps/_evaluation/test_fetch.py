"""What an evaluation fetches: the stable version it compares with is held against the keys that are trusted."""

import argparse
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.steps.registered import put_on_record

from colchis_steps._evaluation.fetch import fetch
from colchis_steps._formats.documents import decode, encode
from colchis_steps._formats.keys import alias_key, candidate_key, record_key, signatures_prefix
from colchis_steps._formats.models import Alias, Candidate, Record
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import read_document
from colchis_steps.import_data import main as import_data
from colchis_steps.keys import main as keys_verb

IMAGE = f"host/digits@sha256:{'1' * 64}"


@pytest.fixture
def args(published: Any, capsys: pytest.CaptureFixture[str]) -> argparse.Namespace:
    """A run whose candidate is to be judged against version 1, which is stable and on record."""
    put_on_record(published.store, published.publish(published.files), IMAGE)
    published.store.write(alias_key("digits", "stable"), encode(Alias("digits", 1, "2026-01-01T00:00:00Z")))
    published.publish({"saved_model.pb": b"new"}, version=2, run="run-2")
    assert import_data(["iris", "--to", published.store.url]) == 0
    data = capsys.readouterr().out.strip()
    key = candidate_key("run-2")
    candidate = read_document(published.store, key, Candidate)
    published.store.write(key, encode(replace(candidate, data=data)))
    return argparse.Namespace(
        data=data,
        data_digest="",
        run="run-2",
        model="digits",
        tree="",
        metrics="",
        code="",
        thresholds="",
        allow_operations=(),
        serve_options="{}",
    )


def sign(published: Any) -> None:
    assert keys_verb(["sign", "digits:1", f"--store={published.store.url}"]) == 0


def test_where_no_signatures_are_asked_for_the_stable_version_is_fetched(
    published: Any, args: argparse.Namespace, tmp_path: Path
) -> None:
    fetch(args, published.store, tmp_path / "given")
    assert (tmp_path / "given/baseline/saved_model.pb").exists()


def test_a_stable_version_that_is_signed_is_fetched(published: Any, args: argparse.Namespace, tmp_path: Path) -> None:
    assert keys_verb(["make"]) == 0
    sign(published)
    fetch(args, published.store, tmp_path / "given")
    assert (tmp_path / "given/baseline/saved_model.pb").exists()


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("unsigned", "digits:1 is refused: it is not signed"),
        ("by another key", "digits:1 is refused: it is signed by key"),
        ("altered", "the stable version 1 of digits is not as it was registered: its record.json is"),
        ("not on record", "the stable version 1 of digits is not on record"),
    ],
)
def test_a_stable_version_that_is_not_is_not_compared_with(
    published: Any, args: argparse.Namespace, keys: Path, case: str, said: str
) -> None:
    assert keys_verb(["make"]) == 0
    if case != "unsigned":
        sign(published)
    key = record_key("digits", 1)
    if case == "by another key":
        (keys / "private.pem").unlink()
        (keys / "trust.json").unlink()
        assert keys_verb(["make"]) == 0
        assert list(published.store.keys(signatures_prefix("digits", 1)))
    elif case == "altered":
        record = decode(Record, published.store.read(key), key)
        published.store.write(key, encode(replace(record, metrics={"accuracy": 0.1})))
    elif case == "not on record":
        published.store.delete(key)
    with pytest.raises(InputError, match=said):
        fetch(args, published.store, keys.parent / "given")
    assert not (keys.parent / "given/baseline").exists()
