"""``make release``: what a release holds, built once from digests that a push would have left."""

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from colchis_workflows import render

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IMAGES = ("steps", "data", "train", "serve", "serve-onnx", "storage")
DIGESTS = {image: f"sha256:{hashlib.sha256(image.encode()).hexdigest()}" for image in IMAGES}
REFERENCE = re.compile(r"registry\.example/team/([\w-]+)(\S*)")


def make(dist: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "release", f"DIST={dist}", "PUSH=registry.example/team"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dist = tmp_path_factory.mktemp("dist")
    (dist / "digests").mkdir()
    for image, digest in DIGESTS.items():
        (dist / "digests" / image).write_text(f"{digest}\n")
    done = make(dist)
    assert done.returncode == 0, done.stderr
    return dist / "release"


@pytest.mark.servers
def test_the_wheel_is_of_this_version_and_holds_both_packages(release: Path) -> None:
    (wheel,) = release.glob("*.whl")
    assert wheel.name == f"colchis-{VERSION}-py3-none-any.whl"
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"colchis_steps", "colchis_workflows", f"colchis-{VERSION}.dist-info"}


@pytest.mark.servers
def test_each_image_in_the_manifests_is_named_by_its_digest(release: Path) -> None:
    with tarfile.open(release / "manifests.tar.gz") as archive:
        files = [member for member in archive.getmembers() if member.name.endswith(".yaml")]
        texts = {member.name: read(archive, member) for member in files}
    found = [match for name, text in texts.items() if "/overlays/" not in name for match in REFERENCE.findall(text)]
    assert {image for image, _ in found} == set(IMAGES)
    assert [match for match in found if match[1] != f":{VERSION}@{DIGESTS[match[0]]}"] == []
    assert not any("ghcr.io/colchis" in text for text in texts.values())
    tagged = [entry for text in texts.values() for entry in re.split(r"\n- ", text) if "newTag" in entry]
    assert tagged
    assert not [entry for entry in tagged if "/kaniko\n" not in entry], "kaniko's image is another project's"


def read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = archive.extractfile(member)
    assert file is not None
    return file.read().decode()


@pytest.mark.servers
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
@pytest.mark.parametrize("overlay", ["namespaced", "quickstart"])
def test_kustomize_keeps_the_digests(release: Path, overlay: str) -> None:
    command = ["kubectl", "kustomize", str(release / "manifests/overlays" / overlay)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = REFERENCE.findall(text)
    assert {image for image, _ in found} == {"steps", "data", "train", "serve", "serve-onnx"}
    assert [match for match in found if not match[1].endswith(f"@{DIGESTS[match[0]]}")] == []


@pytest.mark.servers
@pytest.mark.parametrize("image", IMAGES)
def test_the_sbom_lists_what_the_image_is_installed_from_each_once(release: Path, image: str) -> None:
    parts = json.loads((release / f"{image}.cdx.json").read_text())["components"]
    locks = ["train", "serve"] if image == "serve" else [image]
    locked = {pin for lock in locks for pin in pins(lock)}
    assert sorted((part["name"], part["version"]) for part in parts) == sorted(locked)
    assert all(part["externalReferences"][0]["hashes"] for part in parts)


def pins(lock: str) -> list[tuple[str, str]]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)


@pytest.mark.servers
def test_the_checksums_are_those_of_the_files(release: Path) -> None:
    lines = (release / "SHA256SUMS").read_text().splitlines()
    sums = {line[66:]: line[:64] for line in lines}
    expected = {
        "manifests.tar.gz",
        f"colchis-{VERSION}-py3-none-any.whl",
        *(f"{image}.cdx.json" for image in IMAGES),
    }
    assert sums.keys() == expected
    assert {name: hashlib.sha256((release / name).read_bytes()).hexdigest() for name in sums} == sums


@pytest.mark.servers
def test_without_a_digest_there_is_no_release(tmp_path: Path) -> None:
    (tmp_path / "digests").mkdir()
    (tmp_path / "digests/steps").write_text("sha256:abc")
    done = make(tmp_path)
    assert done.returncode == 2
    assert "digests/steps holds no digest; `make images PUSH=…` writes it" in done.stderr
    assert not list((tmp_path / "release").rglob("*.whl"))


@pytest.mark.parametrize("text", ["", "sha256:abc", "latest"])
def test_what_is_not_a_digest_is_a_usage_error(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "steps").write_text(text)
    with pytest.raises(SystemExit) as ended:
        render.main(["--to", str(tmp_path / "manifests"), "--digests", str(tmp_path)])
    assert ended.value.code == 2
    assert "holds no digest" in capsys.readouterr().err
