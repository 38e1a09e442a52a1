"""What build_image packs: a directory as it stands, files that shrink, files that do not keep still."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colchis_steps._content.storing import store_directory
from colchis_steps._formats.keys import blob_key
from colchis_steps._formats.runs import StepResult
from colchis_steps._oci.contents import contents, unpack
from colchis_steps._oci.image import MOST_LAYERS, TAR, ZSTD
from colchis_steps._oci.layout import Layout
from colchis_steps._oci.repository import open_repository
from colchis_steps._packing import known
from colchis_steps._packing.compression import PIECE, PIECES, Compressed, pays, sampled
from colchis_steps._packing.pack import pack
from colchis_steps._packing.sources import BLOCK, DirectorySource, StoreSource
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps.build_image import main

NOISE = random.Random(7).randbytes(3 * BLOCK + 1)  # as weights, does not shrink
NAMES = [
    "assets/a name with spaces",
    "assets/ünïcode-模型-🏺",
    "assets/" + "n" * 255,
    "assets/" + "/".join(["d" * 100, "e" * 100, "f" * 100]),
    "assets/-- --flag",
    "assets/%2e%2e",
]


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-login"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with a model whose weights do not shrink and whose graph does."""
    write(tmp_path / "model", {"saved_model.pb": b"node" * 50_000, "variables/variables.data-00000-of-00001": NOISE})
    return tmp_path / "model"


def write(directory: Path, files: dict[str, bytes], *, age: int = 60) -> None:
    for path, content in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
        then = (directory / path).stat().st_mtime - age
        os.utime(directory / path, (then, then))


def build(directory: Path, tmp_path: Path, *more: str, version: int = 1) -> int:
    place = [f"--store=file://{tmp_path}/store", f"--run=run-{version}", f"--repository=oci:{tmp_path}/images"]
    return main([*place, "--model=digits", f"--version={version}", f"--from={directory}", *more])


def outputs(tmp_path: Path, version: int = 1) -> StepResult:
    from colchis_steps._store.opening import open_store

    return read_document(open_store(f"file://{tmp_path}/store"), f"runs/run-{version}/build_image.json", StepResult)


def test_a_directory_gives_the_image_that_its_version_gives(published: Any, tmp_path: Path) -> None:
    write(tmp_path / "model", published.files)
    assert build(tmp_path / "model", tmp_path) == 0
    stored = open_repository(f"oci:{tmp_path}/stored")
    report = pack(StoreSource(published.store, published.publish(published.files).files), stored, "1", known={})
    assert outputs(tmp_path).outputs["digest"] == report.digest


def test_a_file_that_shrinks_is_packed_with_zstd_and_weights_are_not(model: Path, tmp_path: Path) -> None:
    assert build(model, tmp_path) == 0
    report = outputs(tmp_path)
    graph, weights = report.details["layers"]
    assert (graph["media_type"], weights["media_type"]) == (ZSTD, TAR)
    assert graph["size"] < 2000
    files = unpack(report.outputs["image"], tmp_path / "out")
    assert {file.path: (tmp_path / "out" / file.path).read_bytes() for file in files} == {
        "saved_model.pb": b"node" * 50_000,
        "variables/variables.data-00000-of-00001": NOISE,
    }
    layout = Layout(tmp_path / "images/digits")
    index = json.loads(layout.manifest(report.outputs["digest"]))
    config = json.loads(
        b"".join(layout.blob(json.loads(layout.manifest(index["manifests"][0]["digest"]))["config"]["digest"]))
    )
    assert config["rootfs"]["diff_ids"] == [graph["diff_id"], weights["digest"]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", False),
        (b"a" * 1000, False),
        (b"a" * 100_000, True),
        (NOISE, False),
        (NOISE[:60_000] + bytes(40_000), True),
    ],
    ids=["empty", "small", "same", "noise", "two fifths zero"],
)
def test_compression_is_for_what_loses_a_quarter(content: bytes, expected: bool) -> None:
    assert pays(content[start:end] for start, end in sampled(len(content))) is expected


def test_a_large_file_is_sampled_from_end_to_end() -> None:
    assert sampled(PIECE * PIECES) == [(0, PIECE * PIECES)]
    pieces = sampled(1 << 30)
    assert (pieces[0], pieces[-1]) == ((0, PIECE), ((1 << 30) - PIECE, 1 << 30))
    assert all(end - start == PIECE for start, end in pieces)


def test_what_is_compressed_twice_is_equal() -> None:
    made = [Compressed(lambda: iter([b"a" * BLOCK, NOISE])) for _ in range(2)]
    first, second = (b"".join(bytes(block) for block in one) for one in made)
    assert first == second
    assert made[0].size == len(first)


def test_a_directory_that_has_not_changed_is_not_read_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    assert build(model, tmp_path) == 0
    monkeypatch.setattr(DirectorySource, "reader", None)  # reading would fail
    assert build(model, tmp_path, version=2) == 0
    assert outputs(tmp_path, 2).outputs == outputs(tmp_path).outputs
    assert outputs(tmp_path, 2).details["bytes_sent"] == 0


def test_of_a_directory_only_the_changed_file_is_sent(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    assert build(model, tmp_path) == 0
    write(model, {"saved_model.pb": b"other" * 50_000})
    assert build(model, tmp_path, version=2) == 0
    assert outputs(tmp_path, 2).outputs != outputs(tmp_path).outputs
    assert 0 < outputs(tmp_path, 2).details["bytes_sent"] < 20_000
    assert contents(outputs(tmp_path, 2).outputs["image"])[0].size == 250_000


def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files that a test has just written count as settled; their change time is of this moment."""
    monkeypatch.setattr(known, "SETTLED", -5)


def test_a_file_just_written_is_read_again(model: Path, tmp_path: Path) -> None:
    assert build(model, tmp_path) == 0
    assert known.in_cache(DirectorySource(model)) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}'])
def test_a_cache_that_is_damaged_or_locked_is_none(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    settled(monkeypatch)
    (tmp_path / "cache/colchis").mkdir(parents=True)
    (tmp_path / "cache/colchis/layers.json").write_text(text)
    assert build(model, tmp_path) == 0
    assert len(known.in_cache(DirectorySource(model))) == 2
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert build(model, tmp_path) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(NOISE[:-1] + b"!"),
        lambda path: path.write_bytes(NOISE[:100]),
        lambda path: os.truncate(path, len(NOISE) + 4),
        lambda path: (path.unlink(), path.write_bytes(NOISE)),
    ],
    ids=["written", "truncated", "appended", "replaced"],
)
@pytest.mark.parametrize("when", [1, 3])
def test_a_file_that_changes_while_it_is_read_is_named(
    model: Path, tmp_path: Path, change: Callable[[Path], object], when: int
) -> None:
    source = DirectorySource(model)
    weights = source.files[1]

    def read() -> None:
        for number, _ in enumerate(source.reader([weights])(weights), 1):
            if number == when:
                change(model / weights.path)

    with pytest.raises(InputError, match=r"variables\.data-00000-of-00001 changed while it was read; stop what"):
        read()


def test_a_file_that_changes_after_its_turn_is_named_and_no_tag_appears(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = DirectorySource.reader

    def changing(self: DirectorySource, group: Any, held: Any) -> Any:
        def read(file: Any) -> Any:
            yield from reader(self, group, held)(file)
            (model / file.path).write_bytes(b"later")

        return read

    monkeypatch.setattr(DirectorySource, "reader", changing)
    layout = open_repository(f"oci:{tmp_path}/images")
    with pytest.raises(InputError, match="changed while it was read"):
        pack(DirectorySource(model), layout, "1", known={})
    assert layout.tagged("1") is None


def test_a_link_put_in_a_files_place_is_not_followed(model: Path, tmp_path: Path) -> None:
    source = DirectorySource(model)
    (model / "saved_model.pb").unlink()
    (model / "saved_model.pb").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"saved_model\.pb cannot be read"):
        list(source.reader(source.files)(source.files[0]))


def test_a_model_without_a_graph_is_refused(model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (model / "saved_model.pb").rename(model / "model.pb")
    assert build(model, tmp_path) == 65
    assert "model has neither saved_model.pb nor model.onnx; give a SavedModel" in caplog.text
    assert not (tmp_path / "images").exists()


def test_a_version_without_a_graph_is_refused(published: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    published.publish({"weights": b"w"})
    place = [f"--store={published.store.url}", "--run=run-1", f"--repository=oci:{tmp_path}/images"]
    assert main([*place, "--model=digits", "--version=1"]) == 65
    assert "digits/1 in file:" in caplog.text
    assert "has neither saved_model.pb" in caplog.text


def test_odd_names_come_out_as_they_went_in(model: Path, tmp_path: Path) -> None:
    write(model, {name: name.encode() for name in NAMES})
    assert build(model, tmp_path) == 0
    unpack(outputs(tmp_path).outputs["image"], tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in NAMES} == {name: name.encode() for name in NAMES}


@pytest.mark.parametrize(
    ("flags", "said"),
    [(["--builder=kaniko", "--from=x"], "--from and --base"), (["--builder=kaniko", "--base=h:1/x"], "--from and")],
)
def test_flags_that_kaniko_does_not_take(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--store=file:///s", "--run=r", "--model=m", "--version=1", "--repository=oci:/i", *flags])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_many_small_files_give_one_image_from_a_store_and_from_a_directory(store: Objects, tmp_path: Path) -> None:
    write(tmp_path / "many", {f"{number:03}": b"file %d" % number for number in range(MOST_LAYERS + 40)})
    files = store_directory(store, tmp_path / "many").files
    layout = open_repository(f"oci:{tmp_path}/images")
    report = pack(StoreSource(store, files), layout, "1", known={})
    assert report.layers[-1].path == "41 small files"
    assert report.digest == pack(DirectorySource(tmp_path / "many"), layout, "1", known={}).digest
    altered = files[-1]  # in the layer that small files share
    store.write(blob_key(altered.sha256), b"x" * altered.size)
    with pytest.raises(InputError, match=f"blob {altered.sha256} of {altered.path} .* is altered; upload"):
        pack(StoreSource(store, files), layout, "2", known={})
    store.delete(blob_key(altered.sha256))
    with pytest.raises(InputError, match=f"blob {altered.sha256} of {altered.path} .* is missing; upload"):
        StoreSource(store, files)
