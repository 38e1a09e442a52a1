"""The verb explain: from a digest alone to data, code and metrics."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Code, Record
from colchis_steps._formats.runs import ImageReport, StepResult
from colchis_steps._models.provenance import statement
from colchis_steps._oci.image import image
from colchis_steps._oci.layout import Layout
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps.build_image import main as build_image
from colchis_steps.explain import main


@pytest.fixture
def registered(published: Any, tmp_path: Path) -> Record:
    """Register version 1, with an image in a layout."""
    flags = [f"--store={published.store.url}", "--run=run-1", "--model=digits", "--version=1"]
    assert build_image([*flags, f"--repository=oci:{tmp_path}/images"]) == 0
    digest = str(Layout(tmp_path / "images/digits").tagged("1"))
    content = published.store.read("models/digits/1/manifest.json")
    manifest = json.loads(content)
    record = Record(
        model="digits",
        version=1,
        run="run-1",
        image=f"oci:{tmp_path}/images/digits@{digest}",
        digest=digest,
        tree=manifest["tree"],
        manifest="models/digits/1/manifest.json",
        manifest_digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
        data="file:///data/digits/0123456789abcdef",
        data_digest="sha256:" + "d" * 64,
        code=Code(entry="digits:build", digest="sha256:" + "c" * 64, revision="a" * 40),
        hyperparameters={"epochs": 5, "rate": 0.1},
        metrics={"accuracy": 0.9712},
        verdict="pass",
        frameworks={"tensorflow": "2.21.0"},
        step_images={},
        workflow="colchis-pipeline-x",
        created_by="medea",
        created_at="2026-11-22T12:00:00Z",
    )
    published.store.write("models/digits/1/record.json", encode(record))
    layers = msgspec.convert(
        read_document(published.store, "runs/run-1/build_image.json", StepResult).details, ImageReport
    ).layers
    files = published.publish(published.files).files
    published.store.write("models/digits/1/statement.json", statement(record, files, layers, {}, published.store.url))
    assert image(layers).index.digest == digest
    alias = {"kind": "colchis.dev/alias/v1", "model": "digits", "version": 1, "updated_at": "2026-11-22T12:00:00Z"}
    published.store.write("models/digits/aliases/stable.json", json.dumps(alias).encode())
    return record


def told(published: Any, what: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([what, f"--store={published.store.url}"]) == 0
    return capsys.readouterr().out


def test_what_a_record_says_does_not_act_on_the_terminal(
    published: Any, registered: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(published.store.read("models/digits/1/record.json"))
    found["code"]["entry"], found["created_by"] = "\x1b]0;x\x07", "\u202eosaj \x9b2J"
    published.store.write("models/digits/1/record.json", json.dumps(found).encode())
    text = told(published, "digits/1", capsys)
    assert not set(text) & set("\x1b\x07\x9b\u202e")
    assert "\\u202eosaj \\u009b2J" in text
    assert main(["digits/1", f"--store={published.store.url}", "--json"]) == 0
    listed = capsys.readouterr().out
    assert not set(listed) & set("\x1b\x9b\u202e")
    assert json.loads(listed)[0]["created_by"] == "\u202eosaj \x9b2J"


def test_people_read_all_of_it(published: Any, registered: Record, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(published, registered.digest, capsys)
    assert "digits/1 (stable)" in text
    for word in (registered.image, "d" * 64, "digits:build", "a" * 40, "epochs=5", "0.971", "pass", "medea"):
        assert word in text


def test_each_digest_of_the_version_leads_to_it(
    published: Any, registered: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = json.loads(Layout(tmp_path / "images/digits").manifest(registered.digest))
    platforms = [entry["digest"] for entry in index["manifests"]]
    file = hashlib.sha256(published.files["saved_model.pb"]).hexdigest()
    plain = registered.digest.removeprefix("sha256:")
    for what in (registered.image, plain, registered.tree, registered.manifest_digest, *platforms, file, "digits"):
        assert "digits/1 (stable)" in told(published, what, capsys)


def test_json_is_the_record_and_its_aliases(
    published: Any, registered: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["digits/1", f"--store={published.store.url}", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["digest"], found["aliases"]) == (
        "colchis.dev/record/v1",
        registered.digest,
        ["stable"],
    )


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("sha256:" + "0" * 64, "no record in .* knows sha256:0000"),
        ("nothing", "has no model 'nothing' on record; it has digits"),
        ("digits/7", "digits/7 is not on record in .*; there are 1"),
    ],
)
def test_what_is_not_on_record_is_said(
    published: Any,
    registered: Record,
    what: str,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert main([what, f"--store={published.store.url}"]) == 65
    assert re.search(said, caplog.text)


@pytest.mark.parametrize("content", [b"\xff", b'{"kind": "colchis.dev/record/v2"}'])
def test_a_record_that_cannot_be_read_hides_no_other(
    published: Any,
    registered: Record,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    content: bytes,
) -> None:
    published.store.write("models/digits/2/record.json", content)
    published.store.write("models/digits/aliases/latest.json", content)
    assert "digits/1 (stable)" in told(published, registered.tree, capsys)
    for name in ("models/digits/2/record.json", "models/digits/aliases/latest.json"):
        assert f"{name} is not a colchis.dev/" in caplog.text
    assert main(["digits/2", f"--store={published.store.url}"]) == 65, "the one that is asked for is not left out"


def test_without_a_store_the_local_one_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("COLCHIS_HOME", str(tmp_path / "home"))
    (tmp_path / "home/store").mkdir(parents=True)
    open_store((tmp_path / "home/store").as_uri()).write("models/.keep", b"")
    assert main(["digits"]) == 65
    assert f"{tmp_path}/home/store has no model 'digits'" in caplog.text
