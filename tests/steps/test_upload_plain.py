"""Versions outside of Colchis: as plain files below a prefix, and pulled to a directory."""

import os
import subprocess
from pathlib import Path

import boto3
import pytest
from benchmarks._rivals import environment
from tests.steps.conftest import MODEL_FILES, Published

from colchis_steps import models
from colchis_steps._content import fetching
from colchis_steps._content.blobs import scan
from colchis_steps._content.fetching import fetch_files
from colchis_steps._content.storing import store_directory
from colchis_steps._formats.keys import blob_key
from colchis_steps._formats.models import File, Manifest
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps.upload import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    for path, content in MODEL_FILES.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    return directory


def upload(store: Objects, model: Path, run: str = "r1") -> int:
    return main([f"--store={store.url}", f"--run={run}", "--model=digits", f"--from={model}", "--plain-prefix=true"])


def plain(store: Objects, version: int) -> dict[str, bytes]:
    prefix = f"models/digits/{version}/files/"
    return {key.removeprefix(prefix): store.read(key) for key in store.keys(prefix)}


def test_the_prefix_holds_the_files_of_the_version(store: Objects, model: Path) -> None:
    assert upload(store, model) == 0
    assert plain(store, 1) == MODEL_FILES
    store.write("models/digits/1/files/stray", b"of a writer that lost the number")
    store.write("models/digits/1/files/saved_model.pb", MODEL_FILES["saved_model.pb"][::-1])
    store.delete("models/digits/1/files/fingerprint.pb")
    assert upload(store, model) == 0
    assert plain(store, 1) == MODEL_FILES
    (model / "saved_model.pb").write_bytes(b"other")
    assert upload(store, model, "r2") == 0
    assert (plain(store, 1), plain(store, 2)) == (MODEL_FILES, MODEL_FILES | {"saved_model.pb": b"other"})


def test_there_is_no_prefix_without_the_flag(store: Objects, model: Path) -> None:
    assert main([f"--store={store.url}", "--run=r1", "--model=digits", f"--from={model}"]) == 0
    assert plain(store, 1) == {}


@pytest.mark.long
def test_kserves_storage_initializer_reads_the_prefix(bucket: str, moto_url: str, model: Path, tmp_path: Path) -> None:
    """It skips empty files (kserve_storage.py), which TensorFlow writes none of."""
    (model / "fingerprint.pb").write_bytes(b"fingerprint")
    store = open_store(f"s3://{bucket}/some/prefix")
    assert upload(store, model) == 0
    program = "import sys; from kserve_storage import Storage; Storage.download(sys.argv[1], sys.argv[2])"
    source = f"s3://{bucket}/some/prefix/models/digits/1/files/"
    variables = os.environ | {"AWS_ENDPOINT_URL": moto_url, "S3_ENDPOINT": moto_url.removeprefix("http://")}
    variables |= {"S3_USE_HTTPS": "0", "S3_VERIFY_SSL": "0"}
    back = tmp_path / "back"
    python = environment("kserve-storage")
    subprocess.run([python, "-c", program, source, back], env=variables, check=True, timeout=200)
    assert scan(back) == scan(model)


def test_a_version_is_pulled_and_pulled_again(
    published: Published, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    back = tmp_path / "back"
    pull = ["pull", "digits:1", f"--to={back}", f"--store={published.store.url}"]
    for _ in range(2):
        assert models.main(pull) == 0
        manifest = read_document(published.store, "models/digits/1/manifest.json", Manifest)
        assert tuple(scan(back)) == manifest.files
    assert models.main(["pull", "digits:7", *pull[2:]]) == 65
    assert "has no version 7 of digits; see: colchis models list" in caplog.text
    assert models.main(["pull", "digits", *pull[2:]]) == 65
    assert "has no model digits" in caplog.text


def test_a_fetch_that_was_cut_off_goes_on_where_it_was(
    store: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "RANGE", 1000)
    monkeypatch.setattr("colchis_steps._content.blobs.SMALL", 1000)
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "weights").write_bytes(os.urandom(10_500))
    files = store_directory(store, directory).files
    stream, read = type(store).stream, list[int]()

    def broken(self: Objects, key: str, chunk: int = 0, start: int = 0, end: int | None = None) -> object:
        if start >= 6000:
            raise TransientError("the way is gone")
        return stream(self, key, chunk, start, end)

    def counted(self: Objects, key: str, chunk: int = 0, start: int = 0, end: int | None = None) -> object:
        read.append(start)
        return stream(self, key, chunk, start, end)

    monkeypatch.setattr(type(store), "stream", broken)
    with pytest.raises(TransientError):
        fetch_files(store, files, tmp_path / "back")
    assert not (tmp_path / "back/weights").exists()
    monkeypatch.setattr(type(store), "stream", counted)
    fetch_files(store, files, tmp_path / "back")
    assert sorted(read) == [6000, 7000, 8000, 9000, 10_000]
    assert scan(tmp_path / "back") == files
    read.clear()
    fetch_files(store, files, tmp_path / "back")
    assert read == []


def test_a_beginning_that_is_not_the_files_is_fetched_anew(store: Objects, tmp_path: Path) -> None:
    directory, back = tmp_path / "model", tmp_path / "back"
    directory.mkdir()
    (directory / "weights").write_bytes(os.urandom(1000))
    files = store_directory(store, directory).files
    back.mkdir()
    fetching._beside(back / "weights", files[0]).write_bytes(b"something else")
    fetch_files(store, files, back)
    assert scan(back) == files
    assert sorted(path.name for path in back.iterdir()) == ["weights"]


@pytest.mark.parametrize("paths", [("A/x", "a/x"), ("e\u0301", "é")])
def test_two_names_that_are_one_elsewhere_are_refused(store: Objects, tmp_path: Path, paths: tuple[str, str]) -> None:
    directory = tmp_path / "model"
    for path in paths:
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(b"x")
    with pytest.raises(InputError, match="are one file where case does not count; rename one of them"):
        scan(directory)
    files = [File(path=path, size=1, sha256="0" * 64) for path in paths]
    with pytest.raises(InputError, match="are one file where case does not count"):
        fetch_files(store, files, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("path", ["a b+c%20", "ünï/☃", "x" * 255, f"{'y' * 150}/{'z' * 150}"])
def test_odd_and_long_names_come_back(store: Objects, tmp_path: Path, path: str) -> None:
    directory = tmp_path / "model"
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    (directory / path).write_bytes(b"content")
    files = store_directory(store, directory).files
    assert store.size(blob_key(files[0].sha256)) == 7
    fetch_files(store, files, tmp_path / "back")
    assert scan(tmp_path / "back") == files


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/./b", "a\0b", "a\nb", "", "x" * 256])
def test_names_that_lead_elsewhere_are_refused(store: Objects, tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match="is not a key of a store"):
        fetch_files(store, [File(path=path, size=1, sha256="0" * 64)], tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_bucket_without_the_model_is_said(bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert boto3.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert models.main(["pull", "digits:1", f"--to={tmp_path / 'x'}", f"--store=s3://{bucket}"]) == 65
    assert "has no version 1 of digits" in caplog.text
