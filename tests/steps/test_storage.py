"""What the storage container for KServe checks; tests/cluster/test_kserve.py runs it with KServe's own library."""

import subprocess
import sys
from pathlib import Path

import pytest

from colchis_steps._content.blobs import scan
from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.keys import manifest_key
from colchis_steps._formats.models import Manifest, tree_digest
from colchis_steps._step.errors import InputError
from colchis_steps._store.opening import open_store
from colchis_steps.storage import complete, main, parsed

TREE = f"sha256:{'7' * 64}"


def test_a_uri_names_store_model_and_version() -> None:
    assert parsed(f"colchis+s3://bucket/models/digits/2@{TREE}") == ("s3://bucket", "digits", 2, TREE)
    assert parsed("colchis+s3://bucket/team/models/models/7/") == ("s3://bucket/team", "models", 7, "")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://b/models/m/1",
        "colchis+s3://b/models/m",
        "colchis+s3://models/m/1",
        "colchis+s3://b/models/m/x",
        "colchis+s3://b/models/m/1@sha256:0",
    ],
)
def test_another_uri_is_refused(uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main([uri, str(tmp_path)]) == 65
    assert "is not a URI of a version; it is colchis+s3://BUCKET/PREFIX/models/MODEL/N@TREE" in caplog.text


@pytest.fixture
def downloaded(tmp_path: Path) -> tuple[Path, Manifest]:
    """A directory, and the manifest that it fits; a file of no bytes is among its files."""
    directory = tmp_path / "model"
    (directory / "assets").mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"graph")
    (directory / "assets" / "empty").touch()
    files = tuple(scan(directory))
    return directory, Manifest("digits", 2, "r", files, tree_digest(files), now())


def test_a_file_of_no_bytes_which_kserve_leaves_out_is_made(downloaded: tuple[Path, Manifest]) -> None:
    directory, manifest = downloaded
    (directory / "assets" / "empty").unlink()
    (directory / "assets").rmdir()
    complete(directory, manifest)
    assert scan(directory) == list(manifest.files)


@pytest.mark.parametrize("damage", ["missing", "altered", "too much"])
def test_what_is_not_the_manifests_is_named(downloaded: tuple[Path, Manifest], damage: str) -> None:
    directory, manifest = downloaded
    name = "more" if damage == "too much" else "saved_model.pb"
    (directory / name).write_bytes(b"other")
    if damage == "missing":
        (directory / name).unlink()
    with pytest.raises(InputError, match=f"1 files of digits 2 are missing, altered or too much, as {name}; publish"):
        complete(directory, manifest)


def test_a_version_without_its_plain_copy_is_named(
    bucket: str, tmp_path: Path, downloaded: tuple[Path, Manifest], caplog: pytest.LogCaptureFixture
) -> None:
    url = f"s3://{bucket}/team"
    uri = f"colchis+{url}/models/digits/2"
    assert main([uri, str(tmp_path / "to")]) == 65
    assert "version 2 of digits is not published" in caplog.text
    open_store(url).write(manifest_key("digits", 2), encode(downloaded[1]))
    assert main([uri, str(tmp_path / "to")]) == 65
    assert f"{url}/models/digits/2/files/ holds no files; publish the version's plain copy" in caplog.text


def test_a_version_whose_files_are_not_those_that_were_rolled_out_is_refused(
    bucket: str, tmp_path: Path, downloaded: tuple[Path, Manifest], caplog: pytest.LogCaptureFixture
) -> None:
    url = f"s3://{bucket}/team"
    open_store(url).write(manifest_key("digits", 2), encode(downloaded[1]))
    assert main([f"colchis+{url}/models/digits/2@{TREE}", str(tmp_path / "to")]) == 65
    assert f"version 2 of digits holds {downloaded[1].tree}, and {TREE} was rolled out" in caplog.text


POOL = """
import multiprocessing, time
from colchis_steps._step.main import entrypoint

def begin():
    started.set()
    try:
        time.sleep(600)
    except Exception:  # as KServe's downloader does
        time.sleep(600)

@entrypoint
def main(argv):
    with context.Pool(1, begin):
        assert started.wait(60)

context = multiprocessing.get_context("fork")
started = context.Event()
raise SystemExit(main([]))
"""


@pytest.mark.servers
def test_workers_that_are_still_beginning_when_their_pool_ends_are_not_waited_for() -> None:
    subprocess.run([sys.executable, "-c", POOL], check=True, timeout=120)
