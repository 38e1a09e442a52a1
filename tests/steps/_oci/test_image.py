"""Images in a layout: the same bytes for the same files, streamed, and taken out verified."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._formats.images import Layer
from colchis_steps._formats.models import File
from colchis_steps._oci.contents import contents, unpack
from colchis_steps._oci.image import MOST_LAYERS, image, layer_blocks, layer_size, split
from colchis_steps._oci.layout import Layout
from colchis_steps._oci.repository import open_repository, parse_reference
from colchis_steps._packing.pack import Known, pack
from colchis_steps._packing.sources import StoreSource
from colchis_steps._step.errors import InputError

# changes only with the format, and then all images do
GOLDEN = "sha256:f6689ea33b3c9050a0eb63182af28bfcf2f087031e02b385ccc537e9cc6b3096"
FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"", "variables/" + "long" * 60: b"x" * 1000}


def file(path: str, content: bytes) -> File:
    return File(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def packed(published: Any, directory: Path, *, version: int = 1, known: Any = None, **more: str) -> Any:
    manifest = published.publish({**FILES, **{k: v.encode() for k, v in more.items()}}, version=version)
    layout = open_repository(f"oci:{directory}")
    return pack(StoreSource(published.store, manifest.files), layout, str(version), known=known or {})


def test_a_layer_holds_its_file_for_every_user_and_nothing_of_this_machine() -> None:
    listed = [file(path, content) for path, content in FILES.items()]
    for one in listed:
        raw = b"".join(layer_blocks([one], lambda f: iter([FILES[f.path]])))
        assert len(raw) == layer_size([one])
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            members = archive.getmembers()
        assert [m.name for m in members][:2] == ["models", "models/1"]
        assert members[-1].name == f"models/1/{one.path}"
        for member in members:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
            assert member.mode == (0o755 if member.isdir() else 0o644)


@given(st.dictionaries(st.text("ab/ü ", min_size=1, max_size=9), st.binary(max_size=2000), min_size=1, max_size=5))
def test_a_layer_is_as_long_as_it_says(files: dict[str, bytes]) -> None:
    listed = [file(path, content) for path, content in files.items()]
    assert sum(map(len, layer_blocks(listed, lambda f: iter([files[f.path]])))) == layer_size(listed)


def test_a_file_of_more_than_8_gib_keeps_its_size_in_the_header() -> None:
    big = File(path="w", size=9 << 30, sha256="0" * 64)
    header = b"".join(layer_blocks([big], lambda _: iter(())))
    with tarfile.open(fileobj=io.BytesIO(header), mode="r|") as archive:
        assert [member.size for member in (archive.next(), archive.next(), archive.next()) if member] == [0, 0, 9 << 30]
    assert layer_size([big]) == len(header) + (9 << 30)


def test_many_files_share_the_last_layer_and_the_largest_keep_their_own() -> None:
    listed = [File(path=f"f{n:04}", size=n, sha256="0" * 64) for n in range(1000)]
    groups = split(listed)
    assert len(groups) == MOST_LAYERS
    assert sorted(f.path for group in groups for f in group) == [f.path for f in listed]
    assert all(group[0].size > 900 for group in groups[:-1])
    assert split(list(reversed(listed))) == groups


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../b", "", "a//b", "./a", "a\0b", "."])
def test_a_path_that_leaves_the_model_is_never_packed(path: str) -> None:
    with pytest.raises(InputError, match="no plain relative path"):
        split([File(path=path, size=1, sha256="0" * 64)])


def test_a_path_twice_is_refused() -> None:
    with pytest.raises(InputError, match="twice"):
        split([file("a", b"1"), file("a", b"2")])


def test_one_index_serves_both_architectures_from_the_same_layers() -> None:
    layers = [
        Layer(path="a", digest="sha256:" + "1" * 64, size=2048, media_type="application/vnd.oci.image.layer.v1.tar")
    ]
    made = image(layers)
    platforms = [entry["platform"] for entry in json.loads(made.index.content)["manifests"]]
    assert platforms == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux"},
        {"architecture": "unknown", "os": "unknown"},
    ]
    amd64, arm64, pack = (json.loads(manifest.content) for manifest in made.manifests)
    assert [layer["digest"] for layer in pack["layers"]] == [layers[0].digest]
    assert amd64["layers"] == arm64["layers"]
    assert amd64["config"] != arm64["config"]
    assert json.loads(made.configs[0].content)["rootfs"]["diff_ids"] == [layers[0].digest]


def test_equal_files_give_equal_digests_whatever_version_and_place(published: Any, tmp_path: Path) -> None:
    first, second = packed(published, tmp_path / "a"), packed(published, tmp_path / "b", version=2)
    assert first.digest == second.digest
    assert packed(published, tmp_path / "c", version=3, other="file").digest != first.digest


def test_the_digest_is_this_one_on_every_machine(published: Any, tmp_path: Path) -> None:
    assert packed(published, tmp_path / "a").digest == GOLDEN


def test_what_is_packed_comes_out_byte_for_byte(published: Any, tmp_path: Path) -> None:
    report = packed(published, tmp_path / "layout")
    files = unpack(report.image, tmp_path / "out")
    assert {
        p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()
    } == FILES
    assert files == contents(report.image) == sorted((file(p, c) for p, c in FILES.items()), key=lambda f: f.path)
    unpack(report.image, tmp_path / "out")  # again, over itself
    assert sorted(p.name for p in tmp_path.iterdir()) == ["layout", "out", "published"]
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_known_layers_are_neither_read_nor_written(published: Any, tmp_path: Path) -> None:
    first = packed(published, tmp_path / "layout")
    manifest = published.publish({**FILES, "saved_model.pb": b"new"}, version=2)
    known = {
        (f.path, f.sha256): Known(layer, "oci:/elsewhere")
        for f in manifest.files
        for layer in first.layers
        if layer.path == f.path
    }
    del known[next(key for key in known if key[0] == "saved_model.pb")]
    inodes = {p.name: p.stat().st_ino for p in (tmp_path / "layout/blobs/sha256").iterdir()}
    for path in ("variables/" + "long" * 60,):  # reading it would now be seen
        published.blob(FILES[path]).write_bytes(b"y" * 1000)
    second = pack(
        StoreSource(published.store, manifest.files), open_repository(f"oci:{tmp_path}/layout"), "2", known=known
    )
    assert second.bytes_sent < 6000
    assert second.layers[1:] == first.layers[1:]
    assert inodes.items() <= {p.name: p.stat().st_ino for p in (tmp_path / "layout/blobs/sha256").iterdir()}.items()


def test_a_tag_that_names_another_image_is_not_moved(published: Any, tmp_path: Path) -> None:
    first = packed(published, tmp_path / "layout")
    with pytest.raises(InputError, match="has the tag 1 for another image"):
        packed(published, tmp_path / "layout", other="file")
    assert Layout(tmp_path / "layout").tagged("1") == first.digest


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b"short"), "has 5 bytes instead of 1000"),
        (lambda path: path.write_bytes(b"y" * 1000), "is altered"),
    ],
    ids=["missing", "truncated", "altered"],
)
def test_a_blob_that_is_not_what_it_was_is_named_and_no_image_is_made(
    published: Any, tmp_path: Path, spoil: Any, said: str
) -> None:
    manifest = published.publish(FILES)
    spoil(published.blob(FILES["variables/" + "long" * 60]))
    with pytest.raises(InputError, match=f"variables/long.*{said}"):
        pack(StoreSource(published.store, manifest.files), open_repository(f"oci:{tmp_path}/l"), "1", known={})
    assert not (tmp_path / "l/index.json").exists()
    assert not [p for p in tmp_path.rglob(".incomplete-*") if p.name != ".incomplete-lock"]


def test_what_a_killed_writer_left_goes_a_day_later(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.put(lambda: [b"x"], 1)
    old, new = (tmp_path / f"blobs/sha256/.incomplete-{name}" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    layout.put(lambda: [b"y"], 1)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_layout_in_a_file_is_refused(published: Any, tmp_path: Path) -> None:
    (tmp_path / "layout").write_text("no directory")
    with pytest.raises(InputError, match="is not a directory"):
        packed(published, tmp_path / "layout")


def test_a_place_that_cannot_be_written_is_refused(published: Any) -> None:
    with pytest.raises(InputError, match=r"/proc/nowhere.*give"):
        packed(published, Path("/proc/nowhere/layout"))


@pytest.mark.servers
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from colchis_steps._oci.layout import Layout\n"
        "try: Layout(Path(sys.argv[1])).put(lambda: [b'x' * 999_999], 999_999)\n"
        "except Exception as e: print(type(e).__name__, e, list(Path(sys.argv[1]).glob('blobs/sha256/*')))"
    )
    full = f'mount -t tmpfs -o size=64k none {tmp_path} && exec {sys.executable} -c "$0" {tmp_path}/l'
    done = subprocess.run(["unshare", "-rm", "sh", "-c", full, program], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this machine lets no user mount a small file system (unshare -rm)")
    assert done.stdout.startswith("InputError")
    assert "is on a full disk; free space there" in done.stdout
    assert done.stdout.endswith(" []\n")


@pytest.mark.servers
def test_memory_stays_the_same_from_small_to_large(tmp_path: Path) -> None:
    program = """
import os, resource, sys
from pathlib import Path
from colchis_steps._formats.models import File
from colchis_steps._oci.image import layer_blocks, layer_size
from colchis_steps._oci.layout import Layout
one = File(path="w", size=int(sys.argv[1]) << 20, sha256="0" * 64)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Layout(Path(sys.argv[2])).put(
    lambda: layer_blocks([one], lambda f: (bytes(1 << 20) for _ in range(f.size >> 20))), layer_size([one]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    small, large = (
        int(
            subprocess.run([sys.executable, "-c", program, mib, tmp_path / mib], capture_output=True, check=True).stdout
        )
        for mib in ("8", "256")
    )
    assert large - small < 8 << 10  # KiB


@pytest.mark.parametrize("text", ["oci:/a/b:1", "localhost:5000/a/b:latest", "localhost:5000/a/b", "a@sha256:12", ""])
def test_a_tag_is_no_reference(text: str) -> None:
    with pytest.raises(InputError, match="names no image by digest"):
        parse_reference(text)


@pytest.mark.parametrize(
    "name", ["oci:relative", "oci:/a/../b", "busybox", "h:1/UPPER", "ftp://h:1/a", "h:1/", "h:1/a//b"]
)
def test_an_odd_repository_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"is not an? (repository|image layout)"):
        open_repository(name)


@pytest.mark.servers
def test_buildah_reads_the_layout(published: Any, tmp_path: Path) -> None:
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not on PATH")
    packed(published, tmp_path / "layout")
    storage = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]
    environment = {**os.environ, "HOME": str(tmp_path), "BUILDAH_ISOLATION": "chroot"}

    def buildah(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["buildah", *storage, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    pulled = buildah("pull", f"oci:{tmp_path}/layout:1")
    if "ermission" in pulled.stderr or "user namespace" in pulled.stderr:
        pytest.skip(f"buildah cannot store images here: {pulled.stderr[:200]}")
    assert pulled.returncode == 0, pulled.stderr
    container = buildah("from", pulled.stdout.strip()).stdout.strip()
    mounted = Path(buildah("mount", container).stdout.strip()) / "models/1"
    try:
        found = {p.relative_to(mounted).as_posix(): p.read_bytes() for p in mounted.rglob("*") if p.is_file()}
    finally:
        buildah("umount", container)
    assert found == FILES
