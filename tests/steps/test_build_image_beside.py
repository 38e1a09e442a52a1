"""What build_image writes beside the image: one on a base, ModelPack's manifest, provenance in the registry."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colchis_steps._formats.runs import StepResult
from colchis_steps._oci.contents import contents
from colchis_steps._oci.image import CONFIG, INDEX, MANIFEST, Blob
from colchis_steps._oci.layout import Layout
from colchis_steps._oci.repository import Repository, open_repository
from colchis_steps._packing.base import parse_base
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import read_document
from colchis_steps.build_image import main

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-login"))


def build(published: Any, repository: str, *more: str, version: int = 1) -> StepResult:
    place = [f"--store={published.store.url}", "--run=run-1", f"--repository={repository}"]
    assert main([*place, "--model=digits", f"--version={version}", *more]) == 0
    return read_document(published.store, "runs/run-1/build_image.json", StepResult)


def shell() -> bytes:
    """Return a layer with one program, as gzip."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        info = tarfile.TarInfo("bin/sh")
        info.size, info.mode = 4, 0o755
        archive.addfile(info, io.BytesIO(b"#!sh"))
    return gzip.compress(tar.getvalue(), mtime=0)


def put_base(repository: Repository, *, architectures: tuple[str, ...] = ("amd64", "arm64", "s390x")) -> str:
    """Push an image as docker builds it; give its digest."""
    layer = shell()
    digest = repository.put(lambda: [layer], len(layer))
    entries = []
    for architecture in architectures:
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": ["/bin/sh"], "User": "1010"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(gzip.decompress(layer)).hexdigest()}"]},
            "history": [{"created_by": "COPY sh"}],
        }
        blob = Blob(CONFIG, json.dumps(config).encode())
        repository.put(lambda blob=blob: [blob.content], len(blob.content), blob.digest)  # type: ignore[misc]
        layers = [{"mediaType": DOCKER_LAYER, "digest": digest, "size": len(layer)}]
        told = {"schemaVersion": 2, "mediaType": DOCKER, "config": blob.descriptor(), "layers": layers}
        manifest = Blob(DOCKER, json.dumps(told).encode())
        repository.put_manifest(manifest)
        entries.append({**manifest.descriptor(), "platform": {"architecture": architecture, "os": "linux"}})
    index = Blob(INDEX, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode())
    repository.put_manifest(index, "1.0")
    return index.digest


def documents(repository: Repository, digest: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return manifest and config of each image in the index."""
    index = json.loads(repository.manifest(digest))
    manifests = [json.loads(repository.manifest(entry["digest"])) for entry in index["manifests"]]
    return [(made, json.loads(b"".join(repository.blob(made["config"]["digest"])))) for made in manifests]


def test_a_model_on_a_base_is_the_base_with_the_models_layers(
    published: Any, docker_registry: Callable[..., str]
) -> None:
    address = docker_registry()
    put_base(open_repository(f"{address}/tools/shell"))
    result = build(published, f"{address}/team", f"--base={address}/tools/shell:1.0")
    repository = open_repository(f"{address}/team/digits")
    based = result.outputs["based-image"]
    assert repository.tagged("1-shell") == based.rpartition("@")[2]
    assert repository.tagged("1") == result.outputs["digest"]
    assert contents(based) == contents(result.outputs["image"])
    plain = documents(repository, result.outputs["digest"])[0][0]["layers"]
    found = documents(repository, based.rpartition("@")[2])
    assert [config["architecture"] for _, config in found] == ["amd64", "arm64"]
    for manifest, config in found:
        assert manifest["mediaType"] == MANIFEST
        assert manifest["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
        assert manifest["layers"][1:] == plain
        assert config["config"] == {"Entrypoint": ["/bin/sh"], "User": "1010"}
        assert len(config["rootfs"]["diff_ids"]) == len(config["history"]) == 1 + len(plain)


def test_a_base_from_elsewhere_is_copied(published: Any, docker_registry: Callable[..., str], tmp_path: Path) -> None:
    elsewhere = docker_registry()
    digest = put_base(open_repository(f"oci:{tmp_path}/shell"))
    based = build(published, f"{elsewhere}/team", f"--base=oci:{tmp_path}/shell@{digest}").outputs["based-image"]
    assert [file.path for file in contents(based)] == sorted(published.files)


def test_a_base_image_for_one_architecture_will_do(published: Any, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "base")
    put_base(layout, architectures=("amd64",))
    based = build(published, f"oci:{tmp_path}/images", f"--base=oci:{tmp_path}/base:1.0").outputs["based-image"]
    assert [config["architecture"] for _, config in documents(Layout(tmp_path / "images/digits"), based[-71:])] == [
        "amd64"
    ]


def test_a_base_that_is_not_there_is_named_and_the_plain_image_stands(
    published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = [f"--store={published.store.url}", "--run=run-1", f"--repository=oci:{tmp_path}/images"]
    assert main([*place, "--model=digits", "--version=1", f"--base=oci:{tmp_path}/absent:1"]) == 65
    assert "absent has no tag 1; give --base an image that is there" in caplog.text


@pytest.mark.parametrize("spoil", ["altered", "no image", "another system"])
def test_a_base_that_is_no_base_is_refused(published: Any, tmp_path: Path, spoil: str) -> None:
    layout = Layout(tmp_path / "base")
    digest = put_base(layout, architectures=("s390x",) if spoil == "another system" else ("amd64",))
    path = tmp_path / "base/blobs/sha256" / digest.removeprefix("sha256:")
    if spoil == "altered":
        path.write_bytes(path.read_bytes() + b" ")
    if spoil == "no image":
        blob = Blob(INDEX, b'{"manifests": 3}')
        layout.put_manifest(blob, "1.0")
        digest = blob.digest
    place = [f"--store={published.store.url}", "--run=run-1", f"--repository=oci:{tmp_path}/images"]
    assert main([*place, "--model=digits", "--version=1", f"--base=oci:{tmp_path}/base@{digest}"]) == 65


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("h:1/a/b", ("h:1/a/b", "latest", "")),
        ("h:1/a:2.0", ("h:1/a", "2.0", "")),
        ("h/a@sha256:" + "0" * 64, ("h/a", "latest", "sha256:" + "0" * 64)),
        ("h:1/a:x@sha256:" + "0" * 64, ("h:1/a", "x", "sha256:" + "0" * 64)),
        ("oci:/dir/base:1", ("oci:/dir/base", "1", "")),
    ],
)
def test_a_base_is_named_by_tag_or_digest(text: str, parts: tuple[str, str, str]) -> None:
    assert parse_base(text) == parts


def test_a_base_without_a_name_is_refused() -> None:
    with pytest.raises(InputError, match="give --base host/path:tag"):
        parse_base("")


def test_tools_of_model_pack_find_a_manifest_of_their_own(published: Any, tmp_path: Path) -> None:
    digest = build(published, f"oci:{tmp_path}/images").outputs["digest"]
    layout = Layout(tmp_path / "images/digits")
    (image, _), _, (pack, config) = documents(layout, digest)
    assert pack["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert pack["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    assert [layer["digest"] for layer in pack["layers"]] == [layer["digest"] for layer in image["layers"]]
    assert {layer["mediaType"].partition("+")[0] for layer in pack["layers"]} == {
        "application/vnd.cncf.model.weight.v1.tar"
    }
    assert [layer["annotations"]["org.cncf.model.filepath"] for layer in pack["layers"]] == sorted(published.files)
    assert config["modelfs"]["type"] == "layers"
    assert len(config["modelfs"]["diffIds"]) == len(pack["layers"])


def test_provenance_refers_to_the_image(published: Any, docker_registry: Callable[..., str]) -> None:
    address = docker_registry()
    result = build(published, f"{address}/team")
    repository = open_repository(f"{address}/team/digits")
    listed = json.loads(repository.manifest(str(repository.tagged(result.outputs["digest"].replace(":", "-")))))
    kinds = {entry["artifactType"]: entry["digest"] for entry in listed["manifests"]}
    assert kinds.keys() == {"application/vnd.colchis.lineage.v1+json", "application/vnd.in-toto+json"}
    artifact = json.loads(repository.manifest(kinds["application/vnd.in-toto+json"]))
    assert artifact["subject"]["digest"] == result.outputs["digest"]
    statement = json.loads(b"".join(repository.blob(artifact["layers"][0]["digest"])))
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["digest"]["sha256"] == result.outputs["digest"].removeprefix("sha256:")
    assert statement["predicate"]["buildDefinition"]["externalParameters"]["hyperparameters"]["epochs"] == 5


def test_a_second_version_of_the_same_files_is_listed_beside_the_first(published: Any, tmp_path: Path) -> None:
    first = build(published, f"oci:{tmp_path}/images")
    published.publish(published.files, version=2)
    again, repeated = (build(published, f"oci:{tmp_path}/images", version=2) for _ in range(2))
    assert first.outputs == again.outputs == repeated.outputs
    layout = Layout(tmp_path / "images/digits")
    listed = json.loads(layout.manifest(str(layout.tagged(first.outputs["digest"].replace(":", "-")))))
    versions = [entry["annotations"].get("dev.colchis.version") for entry in listed["manifests"]]
    assert versions == ["1", None, "2", None]
