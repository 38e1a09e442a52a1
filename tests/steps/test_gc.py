"""gc frees what nothing names, and nothing else: neither what is young nor what an upload has just found."""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

import boto3
import pytest

from colchis_steps import gc
from colchis_steps._content.blobs import check_files
from colchis_steps._content.storing import store_directory
from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import blob_key, candidate_blob_key, results_key
from colchis_steps._formats.models import Candidate, Code, Manifest, tree_digest
from colchis_steps._models.candidates import blobs_of
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store
from colchis_steps._store.s3.store import S3Store

DAY = 24 * 3600


def blob(store: Objects, content: bytes) -> str:
    key = blob_key(hashlib.sha256(content).hexdigest())
    store.write(key, content)
    return key


def age(root: Path, key: str, days: float) -> None:
    when = time.time() - days * DAY
    os.utime(root / key, (when, when))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def local(root: Path) -> Objects:
    return open_store(root.as_uri())


def directory_with(path: Path, content: bytes) -> Path:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(content)
    return path


def candidate(store: Objects, directory: Path, run: str) -> Candidate:
    files = store_directory(store, directory).files
    made = Candidate(
        run=run,
        model="digits",
        files=tuple(files),
        tree=tree_digest(files),
        data="",
        data_digest="",
        code=Code(entry=""),
        hyperparameters={},
        signature={},
        frameworks={},
        created_at="",
    )
    store.write(f"runs/{run}/candidate/model.json", encode(made))
    return made


def test_what_no_version_and_no_young_run_names_goes(
    local: Objects, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    versioned = candidate(local, directory_with(tmp_path / "a", b"a"), "r1")
    manifest = Manifest("digits", 1, "r1", versioned.files, versioned.tree, "")
    local.write("models/digits/1/manifest.json", encode(manifest))
    young_run = candidate(local, directory_with(tmp_path / "b", b"b"), "r2")
    old_run = candidate(local, directory_with(tmp_path / "c", b"c"), "r3")
    young_blob, old_blob = blob(local, b"young"), blob(local, b"old")
    for key in list(local.keys("")):
        age(root, key, 30)
    age(root, "runs/r2/candidate/model.json", 30)
    local.write("runs/r2/evaluate.json", b"{}")  # it still does something
    age(root, young_blob, 6)
    gone = [blob_key(old_run.files[0].sha256), old_blob]
    before = set(local.keys(""))
    assert gc.main([f"--store={local.url}", "--dry-run"]) == 0
    assert capsys.readouterr().out.split() == sorted(gone)
    assert set(local.keys("")) == before
    assert gc.main([f"--store={local.url}"]) == 0
    assert capsys.readouterr().out.split() == sorted(gone)
    assert before - set(local.keys("")) == set(gone)
    check_files(local, [*versioned.files, *young_run.files])
    assert gc.main([f"--store={local.url}"]) == 0
    assert capsys.readouterr().out == ""


def test_a_candidate_goes_with_its_run_and_its_version_stays(local: Objects, root: Path, tmp_path: Path) -> None:
    directory = directory_with(tmp_path / "a", b"a")
    for run in ("old", "young"):
        files = store_directory(blobs_of(local, run), directory).files
    kept = store_directory(local, directory).files
    local.write("models/digits/1/manifest.json", encode(Manifest("digits", 1, "old", tuple(kept), "", "")))
    for key in list(local.keys("")):
        age(root, key, 30)
    local.write("runs/young/evaluate.json", b"{}")
    gone = gc.collect(local, time.time() - 2 * DAY, dry_run=False)
    assert [one.key for one in gone] == [candidate_blob_key("old", files[0].sha256)]
    check_files(blobs_of(local, "young"), files)
    check_files(local, kept)


def test_results_by_row_go_with_the_last_that_has_their_tree(local: Objects, root: Path, tmp_path: Path) -> None:
    versioned = candidate(local, directory_with(tmp_path / "a", b"a"), "r1")
    local.write(
        "models/digits/1/manifest.json", encode(Manifest("digits", 1, "r1", versioned.files, versioned.tree, ""))
    )
    old_run = candidate(local, directory_with(tmp_path / "b", b"b"), "r2")
    keys = [results_key(made.tree, f"sha256:{'d' * 64}", f"sha256:{'e' * 64}") for made in (versioned, old_run)]
    for key in keys:
        local.write(key, b"rows")
    for key in list(local.keys("")):
        age(root, key, 30)
    assert gc.main([f"--store={local.url}", "--keep-days=40"]) == 0
    assert set(keys) <= set(local.keys("")), "all are young"
    assert gc.main([f"--store={local.url}"]) == 0
    assert keys[0] in set(local.keys("")), "a version has the tree"
    assert keys[1] not in set(local.keys(""))


def test_nothing_goes_where_a_manifest_cannot_be_read(
    local: Objects, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = blob(local, b"old")
    local.write("models/digits/1/manifest.json", b"{}")
    age(root, key, 30)
    assert gc.main([f"--store={local.url}"]) == 65
    assert "models/digits/1/manifest.json is not a colchis.dev/manifest/v1 document" in caplog.text
    assert local.size(key) == 3


@pytest.mark.parametrize(
    ("key", "kind"), [("models/digits/1/manifest.json", "manifest"), ("runs/r1/candidate/model.json", "candidate")]
)
def test_nothing_goes_where_a_newer_release_wrote(
    local: Objects, root: Path, caplog: pytest.LogCaptureFixture, key: str, kind: str
) -> None:
    old = blob(local, b"old")
    local.write(key, json.dumps({"kind": f"colchis.dev/{kind}/v2"}).encode())
    age(root, old, 30)
    assert gc.main([f"--store={local.url}"]) == 65
    assert f"{key} is not a colchis.dev/{kind}/v1 document but a colchis.dev/{kind}/v2 one" in caplog.text
    assert local.size(old) == 3


def test_what_a_newer_release_names_in_fields_of_its_own_stays(local: Objects, root: Path, tmp_path: Path) -> None:
    made = candidate(local, directory_with(tmp_path / "a", b"a"), "r1")
    extra, unnamed = blob(local, b"extra"), blob(local, b"unnamed")
    raw = json.loads(encode(Manifest("digits", 1, "r1", made.files, made.tree, "")))
    raw["signatures"] = [{"bundle": "sha256:" + extra.rpartition("/")[2]}]
    local.write("models/digits/1/manifest.json", json.dumps(raw).encode())
    for key in list(local.keys("")):
        age(root, key, 30)
    assert [one.key for one in gc.collect(local, time.time() - 2 * DAY, dry_run=False)] == [unnamed]
    assert local.size(extra) == 5


def test_a_blob_that_an_upload_finds_is_young_again(local: Objects, root: Path, tmp_path: Path) -> None:
    directory, since = directory_with(tmp_path / "a", b"a"), time.time() - 2 * DAY
    (file,) = store_directory(local, directory).files
    age(root, blob_key(file.sha256), 30)
    assert store_directory(local, directory).sent == 0  # an upload that has not yet named it anywhere
    assert gc.collect(local, since, dry_run=False) == []
    check_files(local, [file])


def test_a_blob_that_becomes_young_after_the_listing_stays(
    local: Objects, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upload comes just when gc has read what is named: the worst moment."""
    directory = directory_with(tmp_path / "a", b"a")
    (file,) = store_directory(local, directory).files
    age(root, blob_key(file.sha256), 30)
    named = gc.named

    def then_an_upload(store: Objects, young: Iterable[str]) -> set[str]:
        found = named(store, young)
        candidate(store, directory, "r1")
        return found

    monkeypatch.setattr(gc, "named", then_an_upload)
    assert gc.collect(local, time.time() - 2 * DAY, dry_run=False) == []
    check_files(local, [file])


@pytest.mark.parametrize("days", ["0", "1", "-3", "x"])
def test_too_few_days_are_a_usage_error(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        gc.main(["--store=file:///x", f"--keep-days={days}"])
    assert caught.value.code == 2
    assert "days" in capsys.readouterr().err


def test_in_a_bucket_blobs_and_unfinished_uploads_go(bucket: str) -> None:
    store, client = open_store(f"s3://{bucket}/some/prefix"), boto3.client("s3")
    key = blob(store, b"old")
    for unfinished in ("some/prefix/blobs/sha256/x", "elsewhere/blobs/sha256/x"):
        client.create_multipart_upload(Bucket=bucket, Key=unfinished)
    later = time.time() + 1
    assert [entry.key for entry in gc.collect(store, later, dry_run=False)] == [key]
    assert (store.abandon("blobs/", 0), store.abandon("blobs/", later)) == (0, 1)
    assert [u["Key"] for u in client.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["elsewhere/blobs/sha256/x"]


def test_a_copy_onto_itself_makes_young_and_keeps_the_bytes(store: Objects, tmp_path: Path) -> None:
    key = blob(store, b"content")
    before = store.find(key)
    assert before
    if isinstance(store, S3Store):
        deadline = time.time() + 5
        while time.time() < before.modified + 1.1 < deadline:  # it counts whole seconds
            time.sleep(0.05)
    else:
        age(tmp_path / "store", key, 1)
        before = before._replace(modified=before.modified - DAY)
    store.copy(key, key)
    after = store.find(key)
    assert after
    assert (store.read(key), after.size) == (b"content", 7)
    assert after.modified > before.modified
    with pytest.raises(InputError, match="has no absent"):
        store.copy("absent", "k")
