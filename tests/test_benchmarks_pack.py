"""The race `pack`: what it counts and what it checks, on a model of a few MiB."""

import shutil
import zlib
from pathlib import Path

import pytest
from benchmarks import pack
from benchmarks._pack_rivals import missing
from benchmarks._registry import check, registry

needs_registry = pytest.mark.skipif(
    shutil.which("docker-registry") is None, reason="docker-registry is not on PATH (Debian package docker-registry)"
)


@pytest.mark.servers
@needs_registry
def test_a_shard_that_changed_is_all_that_is_sent(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (row,) = pack.race("one-shard", ["colchis"], 8, tmp_path, runs=1)
    assert (row["case"], row["contender"], row["runs"]) == ("one-shard", "colchis", 1)
    assert isinstance(row["bytes"], int | float)
    assert 2 << 20 < row["bytes"] < (2 << 20) + 50_000


@pytest.mark.servers
@needs_registry
def test_an_image_without_the_models_files_ends_the_race(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    pack.write_model(tmp_path / "model", 4)
    with registry(tmp_path / "registry") as at:
        pack.pushed("colchis", tmp_path / "model", tmp_path, at, "1")
        wanted = pack.digests(tmp_path / "model") | {"saved_model.pb": "0" * 64, "more": "1" * 64}
        with pytest.raises(SystemExit, match=r"does not hold the model's files; these differ: more, saved_model\.pb"):
            check(at.address, "race/colchis", "1", wanted)


def test_a_rival_that_cannot_run_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KANIKO", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert missing("kaniko-best") == "KANIKO names no executor"
    assert missing("crane") == "go is not on PATH"
    assert missing("colchis") is None


def test_the_model_hardly_shrinks(tmp_path: Path) -> None:
    pack.write_shard(tmp_path / "shard", 1, seed=1)
    content = (tmp_path / "shard").read_bytes()
    assert len(content) == 1 << 20
    assert len(zlib.compress(content, 1)) > 0.9 * len(content)
