"""The committed manifests are what the templates render to, byte for byte, on every Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from colchis_workflows import render
from colchis_workflows.settings import Settings


def test_the_committed_manifests_are_what_the_templates_render_to() -> None:
    assert render.differences(render.MANIFESTS, render.manifests(Settings())) == []


def test_rendering_twice_gives_the_same_bytes() -> None:
    assert render.manifests(Settings()) == render.manifests(Settings())


@pytest.mark.servers
@pytest.mark.parametrize("seed", ["1", "2"])
def test_rendering_does_not_depend_on_the_order_of_hashes(seed: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "colchis_workflows.render", "--to", str(tmp_path)]
    subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
    assert render.differences(tmp_path, render.manifests(Settings())) == []


def test_registry_and_tag_reach_every_image_of_ours() -> None:
    text = "".join(render.manifests(Settings(registry="registry.example/team", tag="9.9.9")).values())
    assert "ghcr.io/colchis" not in text
    assert "registry.example/team/steps:9.9.9" in text
    assert "registry.example/team/data:9.9.9" in text
    assert "registry.example/team/train:9.9.9" in text


def test_labels_reach_every_workflow_template() -> None:
    for found in render.objects(Settings(labels=(("team", "vision"),))):
        assert found["metadata"]["labels"]["team"] == "vision"


def test_check_names_what_would_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render.main(["--to", str(tmp_path)]) == 0
    assert render.main(["--to", str(tmp_path), "--check"]) == 0
    (tmp_path / "base/colchis-train.yaml").write_text("kind: Nothing\n")
    (tmp_path / "base/colchis-upload.yaml").unlink()
    (tmp_path / "base/old.yaml").write_text("kind: Old\n")
    assert render.main(["--to", str(tmp_path), "--check"]) == 1
    told = capsys.readouterr().err
    assert "colchis-train.yaml is stale" in told
    assert "colchis-upload.yaml is missing" in told
    assert "old.yaml is not rendered" in told
