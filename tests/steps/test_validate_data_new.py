"""Which data a run takes, and when there is nothing new in them."""

import json
import shutil
from pathlib import Path

import pytest

from colchis_steps import import_data
from colchis_steps._formats.data_v1 import DataManifest
from colchis_steps._formats.documents import canonical_digest, encode
from colchis_steps._formats.models import Alias, Code, Record
from colchis_steps._formats.runs import StepResult
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps.report import main as report
from colchis_steps.validate_data import main


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    assert import_data.main(["digits", "--to", store.as_uri()]) == 0
    return store


@pytest.fixture
def store(digits: Path, tmp_path: Path) -> Path:
    (tmp_path / "data").symlink_to(digits / "data")
    return tmp_path


def data_of(store: Path) -> Path:
    (found,) = (store / "data/digits").iterdir()
    return found


def serve(store: Path, data_digest: str) -> None:
    """Put a version on record that was trained on the data, as the one that is served."""
    there, now = open_store(store.as_uri()), "2026-01-01T00:00:00Z"
    record = Record(
        model="digits",
        version=4,
        run="r0",
        image="",
        digest="",
        tree="",
        manifest="",
        manifest_digest="",
        data="",
        data_digest=data_digest,
        code=Code(entry=""),
        hyperparameters={},
        metrics={},
        verdict="pass",
        frameworks={},
        step_images={},
        workflow="",
        created_by="",
        created_at=now,
    )
    there.write("models/digits/4/record.json", encode(record))
    there.write("models/digits/aliases/stable.json", encode(Alias(model="digits", version=4, updated_at=now)))


def validated(store: Path, data: str, *flags: str) -> tuple[int, dict[str, str], StepResult]:
    outputs = {name: store / f"out/{name}" for name in ("digest", "data", "new-data")}
    paths = [f"--{name}-path={path}" for name, path in outputs.items()]
    code = main([f"--store={store.as_uri()}", "--run=r", f"--data={data}", "--model=digits", *flags, *paths])
    told = {name: path.read_text() for name, path in outputs.items() if path.exists()}
    return code, told, read_document(open_store(store.as_uri()), "runs/r/validate_data.json", StepResult)


def test_data_that_the_served_version_has_seen_end_the_run_at_once_and_it_says_so(store: Path) -> None:
    uri = data_of(store).as_uri()
    digest = read_document(open_store(uri), "manifest.json", DataManifest).digest
    serve(store, digest)
    code, told, result = validated(store, uri, "--only-new-data=true")
    assert (code, told) == (0, {"digest": digest, "data": uri, "new-data": "false"})
    assert result.message == f"no new data: digits version 4 was trained on {uri}, and stays"
    assert result.details == {}, "nothing of the data was read"
    summary = store / "summary"
    assert report([f"--store={store.as_uri()}", "--run=r", "--status=Succeeded", f"--summary-path={summary}"]) == 0
    assert summary.read_text() == result.message


@pytest.mark.parametrize("served", ["", "sha256:0ther"])
def test_new_data_are_validated(served: str, store: Path) -> None:
    if served:
        serve(store, served)
    code, told, result = validated(store, data_of(store).as_uri(), "--only-new-data=true")
    assert (code, told["new-data"], result.verdict) == (0, "true", "pass")


def test_seen_data_are_validated_where_nobody_asks_for_new_ones(store: Path) -> None:
    data = data_of(store)
    serve(store, json.loads((data / "manifest.json").read_text())["digest"])
    code, told, result = validated(store, data.as_uri())
    assert (code, told["new-data"], result.verdict) == (0, "true", "pass")


def test_of_a_directory_of_data_sets_the_newest_is_taken(store: Path, tmp_path: Path) -> None:
    several, data = tmp_path / "several", data_of(store)
    for name, year in (("new", 2030), ("old", 2020), ("older", 2010)):
        shutil.copytree(data, several / name)
        manifest = json.loads((several / name / "manifest.json").read_text())
        manifest["created_at"] = f"{year}-01-01T00:00:00Z"
        (several / name / "manifest.json").write_text(json.dumps(manifest))
    code, told, _ = validated(store, several.as_uri())
    assert (code, told["data"]) == (0, f"{several.as_uri()}/new")


@pytest.mark.parametrize(
    ("kind", "code"), [("colchis.dev/other/v1", 0), ("colchis.dev/data/v1", 0), ("colchis.dev/data/v3", 65)]
)
def test_of_a_directory_a_damaged_manifest_is_left_out_but_not_one_of_a_newer_release(
    store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, code: int
) -> None:
    several = tmp_path / "several"
    shutil.copytree(data_of(store), several / "whole")
    (several / "odd").mkdir()
    (several / "odd/manifest.json").write_text(json.dumps({"kind": kind}))
    found, told, _ = validated(store, several.as_uri())
    assert (found, told.get("data")) == (code, None if code else f"{several.as_uri()}/whole")
    wanted = kind if kind.endswith("data/v1") else "colchis.dev/data/v2"
    assert f"odd/manifest.json is not a {wanted} document" in caplog.text


def test_fields_of_a_newer_release_in_a_manifest_are_read_over(store: Path, tmp_path: Path) -> None:
    shutil.copytree(data_of(store), tmp_path / "newer")
    raw = json.loads((tmp_path / "newer/manifest.json").read_text())
    raw["columns"][0]["role"] = "feature"
    raw["digest"] = canonical_digest({name: raw[name] for name in ("name", "label", "columns", "splits")})
    raw["licence"] = "CC-BY-4.0"
    (tmp_path / "newer/manifest.json").write_text(json.dumps(raw))
    code, told, _ = validated(store, (tmp_path / "newer").as_uri())
    assert (code, told["digest"]) == (0, raw["digest"])
    raw["columns"][0]["maximum"] = 17.0
    (tmp_path / "newer/manifest.json").write_text(json.dumps(raw))
    assert validated(store, (tmp_path / "newer").as_uri())[0] == 65


def test_a_directory_without_data_is_named(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    (store / "empty").mkdir()
    code, told, _ = validated(store, f"{store.as_uri()}/empty")
    assert (code, told) == (65, {})
    assert "/empty holds no data set; import one" in caplog.text
