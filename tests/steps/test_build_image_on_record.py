"""A version whose image is on record keeps it, whatever a later run of the same files has built."""

from pathlib import Path
from typing import Any

import pytest

from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Code, Manifest, Record
from colchis_steps._formats.runs import StepResult
from colchis_steps._oci.image import INDEX, Blob
from colchis_steps._oci.layout import Layout
from colchis_steps._store.documents import read_document
from colchis_steps.build_image import main


def build(published: Any, images: Path, builder: str, run: str, version: int = 1) -> str:
    flags = [f"--store={published.store.url}", "--model=digits", f"--builder={builder}", f"--repository=oci:{images}"]
    assert main([*flags, f"--run={run}", f"--version={version}"]) == 0
    return read_document(published.store, f"runs/{run}/build_image.json", StepResult).outputs["digest"]


def register(published: Any, images: Path, digest: str) -> None:
    key = "models/digits/1/manifest.json"
    record = Record(
        model="digits",
        version=1,
        run="run-1",
        image=f"oci:{images}/digits@{digest}",
        digest=digest,
        tree=read_document(published.store, key, Manifest).tree,
        manifest=key,
        manifest_digest="sha256:1",
        data="",
        data_digest="",
        code=Code(entry="digits:build"),
        hyperparameters={},
        metrics={},
        verdict="pass",
        frameworks={},
        step_images={},
        workflow="",
        created_by="",
        created_at="2026-01-01T00:00:00Z",
    )
    published.store.write("models/digits/1/record.json", encode(record))


@pytest.mark.parametrize("registered", [True, False])
def test_the_image_on_record_stands_and_gets_its_tag_back(registered: bool, published: Any, tmp_path: Path) -> None:
    images = tmp_path / "images"
    first = build(published, images, "direct", "run-1")
    if registered:
        register(published, images, first)
    layout = Layout(images / "digits")
    again = layout.manifest(first) + b"\n"  # the same files, another digest: as kaniko builds them a second time
    layout.put_manifest(Blob(INDEX, again), "1")
    second = build(published, images, "kaniko", "run-2")
    assert (second == first) is registered
    assert layout.tagged("1") == second


def test_a_recorded_image_that_is_gone_is_built_again(published: Any, tmp_path: Path) -> None:
    digest = build(published, tmp_path / "images", "direct", "run-1")
    register(published, tmp_path / "elsewhere", digest)
    assert build(published, tmp_path / "elsewhere", "direct", "run-2") == digest
    assert Layout(tmp_path / "elsewhere/digits").tagged("1") == digest


def test_a_registry_that_is_away_is_found_before_kaniko_builds(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("colchis_steps._oci.registry.WAITS", ())
    flags = [f"--store={published.store.url}", "--run=run-1", "--model=digits", "--version=1", "--builder=kaniko"]
    assert main([*flags, "--repository=127.0.0.1:1/team", f"--context={tmp_path}/context"]) == 75
    assert "registry 127.0.0.1:1 is away" in caplog.text
    assert not (tmp_path / "context").exists()


def test_an_image_that_kaniko_made_is_not_put_on_a_base(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digest = build(published, tmp_path / "images", "direct", "run-0")
    assert build(published, tmp_path / "images", "kaniko", "run-1") == digest
    register(published, tmp_path / "images", digest)
    flags = [f"--store={published.store.url}", "--run=run-2", "--model=digits", "--version=1"]
    assert main([*flags, f"--repository=oci:{tmp_path}/images", f"--base=oci:{tmp_path}/base:1"]) == 65
    assert "was built by kaniko and stands; put it on oci:" in caplog.text
