"""The step build_image, through its command line."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colchis_steps._formats.runs import ImageReport, StepResult
from colchis_steps._oci.contents import contents, unpack
from colchis_steps._oci.layout import Layout
from colchis_steps._packing.kaniko import dockerfile
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps.build_image import main


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-login"))


def build(published: Any, repository: str, *more: str, version: int = 1, run: str = "run-1") -> int:
    command = [f"--store={published.store.url}", f"--run={run}", "--model=digits", f"--version={version}"]
    return main([*command, f"--repository={repository}", *more])


def result(published: Any, run: str = "run-1") -> StepResult:
    return read_document(published.store, f"runs/{run}/build_image.json", StepResult)


def test_outputs_name_the_image_by_digest(published: Any, tmp_path: Path) -> None:
    paths = [f"--digest-path={tmp_path}/digest", f"--image-path={tmp_path}/image"]
    assert build(published, f"oci:{tmp_path}/images", *paths) == 0
    digest, image = (tmp_path / "digest").read_text(), (tmp_path / "image").read_text()
    assert image == f"oci:{tmp_path}/images/digits@{digest}"
    assert [file.path for file in contents(image)] == sorted(published.files)
    told = result(published)
    assert (told.status, told.outputs) == ("succeeded", {"digest": digest, "image": image})
    assert [layer["path"] for layer in told.details["layers"]] == sorted(published.files)


def test_again_gives_the_same_and_sends_nothing(published: Any, tmp_path: Path) -> None:
    assert build(published, f"oci:{tmp_path}/images") == 0
    first = result(published)
    assert build(published, f"oci:{tmp_path}/images") == 0
    assert result(published).outputs == first.outputs
    assert result(published).details["bytes_sent"] == 0


def test_two_versions_of_one_run_keep_their_own_files(published: Any, tmp_path: Path) -> None:
    assert build(published, f"oci:{tmp_path}/images") == 0
    published.publish({**published.files, "saved_model.pb": b"new"}, version=2, run="run-1")
    assert build(published, f"oci:{tmp_path}/images", version=2) == 0
    unpack(result(published).outputs["image"], tmp_path / "unpacked")
    assert (tmp_path / "unpacked/saved_model.pb").read_bytes() == b"new"


def test_the_next_version_sends_only_what_changed(published: Any, tmp_path: Path) -> None:
    assert build(published, f"oci:{tmp_path}/images") == 0
    published.publish({**published.files, "saved_model.pb": b"new"}, version=2, run="run-2")
    assert build(published, f"oci:{tmp_path}/images", version=2, run="run-2") == 0
    assert result(published, "run-2").details["bytes_sent"] < 10_000
    assert unpack(result(published, "run-2").outputs["image"], tmp_path / "out")[1].size == 0
    assert (tmp_path / "out/saved_model.pb").read_bytes() == b"new"


def test_lineage_lies_beside_the_image(published: Any, tmp_path: Path) -> None:
    assert build(published, f"oci:{tmp_path}/images") == 0
    layout = Layout(tmp_path / "images/digits")
    artifact = json.loads(layout.manifest(str(layout.tagged("1-lineage"))))
    assert artifact["subject"]["digest"] == layout.tagged("1")
    assert artifact["annotations"]["dev.colchis.run"] == "run-1"
    assert artifact["annotations"]["org.opencontainers.image.revision"] == "a" * 40


def test_progress_ends_at_all_of_it(published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGO_PROGRESS_FILE", str(tmp_path / "progress"))
    assert build(published, f"oci:{tmp_path}/images") == 0
    total = sum(map(len, published.files.values()))
    assert (tmp_path / "progress").read_text() == f"{total}/{total}\n"


def test_a_version_that_is_not_there_is_named(published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert build(published, f"oci:{tmp_path}/images", version=7) == 65
    assert "models/digits/7/manifest.json" in caplog.text
    assert result(published).status == "failed"


def test_an_altered_blob_ends_the_step_and_leaves_no_image(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published.blob(published.files["saved_model.pb"]).write_bytes(b"\x0agrapf" * 100)
    assert build(published, f"oci:{tmp_path}/images", f"--digest-path={tmp_path}/digest") == 65
    assert "of saved_model.pb in" in caplog.text
    assert not (tmp_path / "digest").exists()
    assert Layout(tmp_path / "images/digits").tagged("1") is None


def test_an_altered_manifest_is_refused(published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = published.root / "store/models/digits/1/manifest.json"
    path.write_text(path.read_text().replace("saved_model.pb", "saved_nodel.pb"))
    assert build(published, f"oci:{tmp_path}/images") == 65
    assert "manifest of digits/1 in" in caplog.text


def test_a_registry_that_is_away_may_be_tried_again(
    published: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colchis_steps._oci.registry.WAITS", (0.01,))
    assert build(published, "localhost:1/team") == 75
    assert "registry localhost:1 is away" in caplog.text


@pytest.mark.parametrize(
    "flags",
    [
        ["--builder=kaniko", "--context=/x", "--check=sha256:1"],
        ["--context=/x"],
        ["--builder=ko"],
    ],
)
def test_flags_that_do_not_go_together_are_a_usage_error(published: Any, flags: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build(published, "oci:/nowhere", *flags)
    assert caught.value.code == 2


@pytest.mark.servers
def test_kill_at_any_time_leaves_no_half_image_and_the_next_run_makes_it_whole(published: Any, tmp_path: Path) -> None:
    published.publish({"saved_model.pb": b"g", "w": os.urandom(60 << 20)})
    command = [sys.executable, "-m", "colchis_steps.build_image", f"--store={published.store.url}", "--run=run-1"]
    command += ["--model=digits", "--version=1", f"--repository=oci:{tmp_path}/images"]
    blobs, deadline = tmp_path / "images/digits/blobs/sha256", time.monotonic() + 30
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while not list(blobs.glob(".incomplete-*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        process.kill()
    index = tmp_path / "images/digits/index.json"
    assert process.returncode == 0 or not index.exists()
    for blob in blobs.glob("[0-9a-f]*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    assert subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0
    assert [file.path for file in contents(result(published).outputs["image"])] == ["saved_model.pb", "w"]


def test_kaniko_gets_a_context_and_a_copy_for_each_file(published: Any, tmp_path: Path) -> None:
    stale = tmp_path / "c/context/left-behind"
    stale.parent.mkdir(parents=True)
    stale.write_text("by an earlier build")
    assert build(published, f"oci:{tmp_path}/images", "--builder=kaniko", f"--context={tmp_path}/c") == 0
    lines = (tmp_path / "c/Dockerfile").read_text().splitlines()
    assert lines[0] == "FROM scratch"
    copies = [json.loads(line.removeprefix("COPY ")) for line in lines if line.startswith("COPY")]
    assert copies == [[path, f"/models/1/{path}"] for path in sorted(published.files)]
    assert 'LABEL "dev.colchis.run"="run-1"' in lines
    context = tmp_path / "c/context"
    found = {p.relative_to(context).as_posix(): p.read_bytes() for p in context.rglob("*") if p.is_file()}
    assert found == published.files
    assert {(p.stat().st_mode & 0o777, p.stat().st_mtime) for p in context.rglob("*") if p.is_file()} == {(0o644, 0.0)}
    assert result(published).outputs == {}


def test_kaniko_does_not_overwrite_the_tag_of_another_store(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repository, kaniko = f"oci:{tmp_path}/images", ["--builder=kaniko", f"--context={tmp_path}/c"]
    assert build(published, repository) == 0
    assert build(published, repository, *kaniko) == 0, "the same files, as after a push whose pod was lost"
    (tmp_path / "other").mkdir()
    other = type(published)(open_store(f"file://{tmp_path}/other/store"), tmp_path / "other", published.files)
    other.publish({**published.files, "saved_model.pb": b"another model of this name"})
    (tmp_path / "c/Dockerfile").unlink()
    for flags in (kaniko, ["--builder=direct"]):
        caplog.clear()
        assert build(other, repository, *flags) == 65
        assert "has the tag 1 for another image (sha256:" in caplog.text
    assert not (tmp_path / "c/Dockerfile").exists(), "a context that kaniko would build"


@pytest.mark.parametrize("path", ["a*", "a?b", "a[1]", "$HOME", "back\\slash", "new\nline"])
def test_a_name_that_a_dockerfile_would_read_otherwise_is_refused(path: str) -> None:
    from colchis_steps._formats.models import File
    from colchis_steps._step.errors import InputError

    with pytest.raises(InputError, match="use --builder=direct"):
        dockerfile([File(path=path, size=0, sha256="0" * 64)], {})


def test_what_kaniko_pushed_is_held_against_the_version(
    published: Any, docker_registry: Callable[..., str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repository = f"{docker_registry()}/team"
    assert build(published, repository) == 0  # the direct builder's image has the tree that kaniko's must have
    image = result(published).outputs["image"]
    (tmp_path / "kaniko-digest").write_text(image.rpartition("@")[2] + "\n")
    flags = ["--builder=kaniko", f"--check={tmp_path}/kaniko-digest", f"--image-path={tmp_path}/image"]
    assert build(published, repository, *flags) == 0
    assert (tmp_path / "image").read_text() == image
    assert ImageReport(**result(published).details).builder == "kaniko"

    assert build(published, repository, "--builder=kaniko", "--context=", "--check=") == 0  # by the tag
    assert result(published).outputs["image"] == image

    published.publish({**published.files, "fingerprint.pb": b"other"}, version=2, run="run-2")
    assert build(published, repository, *flags, version=2, run="run-2") == 65
    assert "holds another /models/1/fingerprint.pb" in caplog.text
    assert build(published, repository, "--builder=kaniko", version=2, run="run-2") == 65
    assert "has no tag 2; let kaniko build" in caplog.text
    published.publish({"saved_model.pb": published.files["saved_model.pb"]}, version=3, run="run-3")
    assert build(published, repository, *flags, version=3, run="run-3") == 65
    assert "should not hold /models/1/assets/" in caplog.text


def test_a_tag_where_kanikos_digest_belongs_is_refused(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "digest").write_text("latest")
    for given in (tmp_path / "digest", tmp_path / "none", "sha256:12"):
        assert build(published, "localhost:1/team", "--builder=kaniko", f"--check={given}") == 65
    assert "names no image by digest" in caplog.text
    assert "cannot be read" in caplog.text
