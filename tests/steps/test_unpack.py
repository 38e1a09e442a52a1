"""The verb of the init container: the model's files, verified, in a directory."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.steps.conftest import MODEL_FILES, Published

from colchis_steps import build_image, unpack


@pytest.fixture
def image(published: Published, tmp_path: Path) -> str:
    return packed(published, tmp_path, f"oci:{tmp_path}/images")


def packed(published: Published, tmp_path: Path, repository: str) -> str:
    to = tmp_path / "reference"
    flags = [f"--store={published.store.url}", "--run=run-1", "--model=digits", "--version=1", f"--image-path={to}"]
    assert build_image.main([*flags, f"--repository={repository}"]) == 0
    return to.read_text()


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_the_models_files_are_written_and_what_was_there_is_replaced(image: str, tmp_path: Path) -> None:
    to = tmp_path / "models/digits/1"
    for _ in range(2):
        assert unpack.main([f"--image={image}", f"--to={to}"]) == 0
        assert files(to) == MODEL_FILES
        (to / "left-behind").write_text("x")
    assert [path.name for path in to.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("flag", [[], ["--insecure-registry"], ["--insecure-registry=true"]])
def test_from_a_registry(
    flag: list[str], docker_registry: Callable[..., str], published: Published, tmp_path: Path
) -> None:
    image = packed(published, tmp_path, f"{docker_registry()}/models")
    assert unpack.main([f"--image={image}", f"--to={tmp_path / 'to'}", *flag]) == 0
    assert files(tmp_path / "to") == MODEL_FILES


def test_a_tag_and_an_altered_layer_are_refused_and_leave_nothing(
    image: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert unpack.main([f"--image={image.partition('@')[0]}:1", f"--to={tmp_path / 'to'}"]) == 65
    assert "names no image by digest" in caplog.text
    blobs = sorted((tmp_path / "images/digits/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(blobs[-1].read_bytes())
    content[len(content) // 2] ^= 1
    blobs[-1].chmod(0o644)
    blobs[-1].write_bytes(content)
    assert unpack.main([f"--image={image}", f"--to={tmp_path / 'to'}"]) == 65
    assert not (tmp_path / "to").exists()


def test_a_wrong_flag_is_a_usage_error() -> None:
    with pytest.raises(SystemExit, match="2"):
        unpack.main(["--image=x", "--to=y", "--insecure-registry=perhaps"])
