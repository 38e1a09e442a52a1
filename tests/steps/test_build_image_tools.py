"""Tools that are not ours read the image from a registry: crane, buildah, oras-py, olot.

They live in environments of their own (``.rivals``), made once; a test says what is missing where one cannot be had.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from benchmarks._pack_rivals import CRANE
from benchmarks._rivals import environment, go_program

from colchis_steps._oci.layout import Layout
from colchis_steps.build_image import main

ORAS = """
import hashlib, json, sys
from oras.provider import Registry
reference, out = sys.argv[1:]
registry = Registry(insecure=True)
registry.auth.load_configs = lambda *_, **__: None
place, _, digest = reference.partition("@")
index = registry.get_manifest(reference, allowed_media_type=["application/vnd.oci.image.index.v1+json"])
kind = "application/vnd.cncf.model.manifest.v1+json"
found = []
for entry in index["manifests"]:
    manifest = registry.get_manifest(f"{place}@{entry['digest']}")
    for number, layer in enumerate(manifest["layers"]):
        path = registry.download_blob(f"{place}@{entry['digest']}", layer["digest"], f"{out}/{number}")
        assert "sha256:" + hashlib.sha256(open(path, "rb").read()).hexdigest() == layer["digest"]
    paths = [layer["annotations"]["org.cncf.model.filepath"] for layer in manifest["layers"]]
    found.append([manifest.get("artifactType"), paths])
print(json.dumps(found))
"""
OLOT = """
import json, pathlib, sys
from olot.basics import crawl_ocilayout_indexes, crawl_ocilayout_manifests
from olot.modelpack.model_config import Model
from olot.oci.oci_config import OCIManifestConfig
from olot.oci.oci_image_index import read_ocilayout_root_index
from olot.oci.oci_image_layout import verify_ocilayout
layout = pathlib.Path(sys.argv[1])
verify_ocilayout(layout)
root = read_ocilayout_root_index(layout)
manifests = crawl_ocilayout_manifests(layout, crawl_ocilayout_indexes(layout, root), root)
found = []
for manifest in manifests.values():
    config = (layout / "blobs" / manifest.config.digest.replace(":", "/")).read_bytes()
    if "cncf.model" in manifest.config.mediaType:
        diffs = Model.model_validate_json(config).modelfs.diffIds
    else:
        diffs = OCIManifestConfig.model_validate_json(config).rootfs.diff_ids
    assert len(diffs) == len(manifest.layers)
    found.append(sorted(layer.annotations["org.cncf.model.filepath"] for layer in manifest.layers))
print(json.dumps(found))
"""


class Pushed(NamedTuple):
    """An image in a registry."""

    reference: str
    files: dict[str, bytes]


@pytest.fixture
def pushed(published: Any, docker_registry: Callable[..., str], tmp_path: Path, monkeypatch: Any) -> Pushed:
    (tmp_path / "login").mkdir()
    (tmp_path / "login/config.json").write_text("{}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "login"))
    place = [f"--store={published.store.url}", "--run=run-1", f"--repository={docker_registry()}/team"]
    assert main([*place, "--model=digits", "--version=1", f"--image-path={tmp_path}/image"]) == 0
    return Pushed((tmp_path / "image").read_text(), published.files)


def tool(make: Callable[[], Path]) -> Path:
    """Return the tool, or say why it cannot be had here."""
    try:
        return make()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this tool cannot be installed here: {error}")


def run(*words: str | Path, **environment: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def below(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


@pytest.mark.long
def test_crane_gives_the_digest_and_the_files(pushed: Pushed, tmp_path: Path) -> None:
    crane = tool(lambda: go_program(*CRANE))
    name, _, digest = pushed.reference.partition("@")
    assert run(crane, "digest", "--insecure", f"{name}:1") == digest
    for platform in ("linux/amd64", "linux/arm64"):
        run(crane, "export", "--insecure", f"--platform={platform}", pushed.reference, tmp_path / "tree.tar")
        (tmp_path / platform).mkdir(parents=True)
        run("tar", "--extract", f"--file={tmp_path}/tree.tar", f"--directory={tmp_path}/{platform}")
        assert below(tmp_path / platform / "models/1") == pushed.files


@pytest.fixture
def buildah(tmp_path: Path) -> Iterator[list[str]]:
    """Yield buildah's words, with a storage of the test's own."""
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not on PATH (Debian package buildah)")
    storage = [f"--root={tmp_path}/root", f"--runroot={tmp_path}/run", "--storage-driver=vfs"]
    yield ["buildah", *storage]
    subprocess.run(["buildah", *storage, "umount", "--all"], capture_output=True, check=False)


def test_buildah_pulls_and_mounts_it(pushed: Pushed, buildah: list[str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("buildah mounts for root only, without a user namespace")
    run(*buildah, "pull", "--tls-verify=false", f"docker://{pushed.reference}")
    container = run(*buildah, "from", "--tls-verify=false", f"docker://{pushed.reference}")
    assert below(Path(run(*buildah, "mount", container)) / "models/1") == pushed.files


def test_oras_reads_every_manifest_and_blob(pushed: Pushed, tmp_path: Path) -> None:
    python = tool(lambda: environment("olot"))
    (tmp_path / "blobs").mkdir()
    found = json.loads(run(python, "-c", ORAS, pushed.reference, tmp_path / "blobs", HOME=str(tmp_path)))
    names = sorted(pushed.files)
    assert found == [[None, names], [None, names], ["application/vnd.cncf.model.manifest.v1+json", names]]


@pytest.mark.servers
def test_olot_reads_the_layout_and_its_model_pack(published: Any, tmp_path: Path) -> None:
    python = tool(lambda: environment("olot"))
    place = [f"--store={published.store.url}", "--run=run-1", f"--repository=oci:{tmp_path}/images"]
    assert main([*place, "--model=digits", "--version=1"]) == 0
    layout = tmp_path / "images/digits"
    keep_only(layout, str(Layout(layout).tagged("1")))
    assert json.loads(run(python, "-c", OLOT, layout)) == [sorted(published.files)] * 3


def keep_only(layout: Path, digest: str) -> None:
    """Let the layout's index name the image alone, without the artifacts that refer to it."""
    index = json.loads((layout / "index.json").read_text())
    index["manifests"] = [entry for entry in index["manifests"] if entry["digest"] == digest]
    (layout / "index.json").write_text(json.dumps(index))
