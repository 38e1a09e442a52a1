"""Taking files out of images that others made, or spoiled."""

import gzip
import hashlib
import io
import json
import resource
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from colchis_steps._oci.contents import contents, unpack
from colchis_steps._oci.image import MANIFEST, Blob
from colchis_steps._oci.layout import Layout
from colchis_steps._step.errors import InputError


def tar(*members: tuple[str, bytes, bytes]) -> bytes:
    """Make an archive of (name, type, content or link target)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE}:
                info.linkname = content.decode()
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def made(directory: Path, *layers: tuple[bytes, str]) -> str:
    """Write an image of one manifest; give its reference."""
    layout = Layout(directory)
    listed = [
        {"mediaType": media_type, "digest": layout.put(lambda raw=raw: [raw], len(raw)), "size": len(raw)}  # type: ignore[misc]
        for raw, media_type in layers
    ]
    manifest = Blob(MANIFEST, json.dumps({"schemaVersion": 2, "layers": listed}).encode())
    layout.put_manifest(manifest, "1")
    return f"{layout.name}@{manifest.digest}"


REG, DIR, SYM, LNK, FIFO = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE
PLAIN = "application/vnd.oci.image.layer.v1.tar"
ZIPPED = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def test_gzip_layers_and_files_elsewhere_are_read_as_kaniko_writes_them(tmp_path: Path) -> None:
    one = tar(("models/", DIR, b""), ("models/1/", DIR, b""), ("models/1/saved_model.pb", REG, b"graph"))
    two = tar(("/models/1/variables/index", REG, b"index"), ("etc/passwd", REG, b"not ours"))
    image = made(tmp_path / "layout", (gzip.compress(one), ZIPPED), (two, PLAIN))
    files = unpack(image, tmp_path / "deep" / "out")
    assert [(f.path, f.size) for f in files] == [("saved_model.pb", 5), ("variables/index", 5)]
    assert (tmp_path / "deep/out/variables/index").read_bytes() == b"index"
    assert files[0].sha256 == hashlib.sha256(b"graph").hexdigest()


@pytest.mark.parametrize(
    "member",
    [
        ("models/1/../../x", REG, b"x"),
        ("models/1//etc/x", REG, b"x"),
        ("models/1/link", SYM, b"/etc/passwd"),
        ("models/1/link", LNK, b"etc/passwd"),
        ("models/1/pipe", FIFO, b""),
        ("models/1", SYM, b"/etc"),
        ("models", SYM, b"/etc"),
        ("models", REG, b"x"),
        ("models/1/.wh.saved_model.pb", REG, b""),
    ],
    ids=lambda member: f"{member[0]}-{member[1].decode()}",
)
def test_what_leaves_the_model_or_is_no_plain_file_is_refused(tmp_path: Path, member: tuple[str, bytes, bytes]) -> None:
    image = made(tmp_path / "layout", (tar(("models/1/saved_model.pb", REG, b"graph"), member), PLAIN))
    with pytest.raises(InputError, match="do not use this image"):
        unpack(image, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["layout"]


def spoil(layout: Path, digest: str, at: int) -> None:
    path = layout / "blobs/sha256" / digest.removeprefix("sha256:")
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize(("at", "said"), [(1100, "is altered"), (10, "is damaged|is altered")])
def test_a_layer_with_a_flipped_bit_is_named_and_nothing_appears(tmp_path: Path, at: int, said: str) -> None:
    raw = tar(("models/1/a", REG, b"first"), ("models/1/b", REG, b"second"))
    image = made(tmp_path / "layout", (raw, PLAIN))
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    spoil(tmp_path / "layout", digest, at)
    with pytest.raises(InputError, match=f"{digest}.*({said})"):
        unpack(image, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cut_layer_is_refused(tmp_path: Path) -> None:
    raw = tar(("models/1/a", REG, b"x" * 5000))
    image = made(tmp_path / "layout", (raw, PLAIN))
    (tmp_path / "layout/blobs/sha256" / hashlib.sha256(raw).hexdigest()).write_bytes(raw[:3000])
    with pytest.raises(InputError, match="is damaged"):
        contents(image)


def test_an_altered_manifest_is_refused(tmp_path: Path) -> None:
    image = made(tmp_path / "layout", (tar(("models/1/a", REG, b"x")), PLAIN))
    spoil(tmp_path / "layout", image.rpartition("@")[2], 3)
    with pytest.raises(InputError, match="is altered"):
        contents(image)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"layers": 3}, "is not an OCI image"),
        ({"manifests": [{"platform": {"os": "unknown"}}]}, "is not an OCI image"),
        ({"layers": [{"digest": "../../etc/passwd", "size": 1, "mediaType": PLAIN}]}, "names no image by digest"),
        ({"layers": [{"digest": "sha256:" + "0" * 64, "size": 1, "mediaType": PLAIN}]}, "has no sha256:0000"),
        (
            {"layers": [{"digest": "sha256:" + "0" * 64, "size": 1, "mediaType": "x.tar+lz4"}]},
            "layer of type x.tar.lz4",
        ),
        ({"layers": []}, "has no file below /models/1"),
        ([], "is not an OCI image"),
    ],
)
def test_what_is_no_model_image_is_refused(tmp_path: Path, manifest: Any, said: str) -> None:
    blob = Blob(MANIFEST, json.dumps(manifest).encode())
    Layout(tmp_path).put_manifest(blob, "1")
    with pytest.raises(InputError, match=said):
        contents(f"oci:{tmp_path}@{blob.digest}")


def test_a_digest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no sha256:1111.*build the image"):
        unpack(f"oci:{tmp_path}/none@sha256:{'1' * 64}", tmp_path / "out")


def test_an_index_that_is_no_json_is_named(tmp_path: Path) -> None:
    made(tmp_path, (tar(("models/1/a", REG, b"x")), PLAIN))
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(InputError, match=r"index\.json is not an OCI index"):
        Layout(tmp_path).tagged("1")


def limited() -> None:
    """Let this process have no more memory and disk than a small pod; for a child, before it begins."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def unpacked_in_small(image: str, to: Path, *flags: str) -> tuple[int, str]:
    """Unpack as the init container does, with little memory and disk; return the exit code and what it said."""
    command = [sys.executable, "-m", "colchis_steps.unpack", f"--image={image}", f"--to={to}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, preexec_fn=limited)
    return done.returncode, done.stderr


def headed(kind: bytes, size: int, name: str = "models/1/a") -> bytes:
    """Return a tar header that says a size, without what it says."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse(size: int) -> bytes:
    """Return a GNU sparse file of one hole, as GNU tar writes it."""
    header = bytearray(headed(tarfile.GNUTYPE_SPARSE, 0))
    header[386:398], header[398:410] = b"%011o\0" % size, b"%011o\0" % 0
    header[483:495] = b"%011o\0" % size
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"\0" * 1024


@pytest.mark.servers
@pytest.mark.parametrize(
    ("layer", "media_type", "said"),
    [
        (sparse(2 << 30), PLAIN, "is damaged"),
        (gzip.compress(tar(("models/1/a", REG, b"\0" * (48 << 20)))), ZIPPED, "unpacks to more than 1000 bytes"),
        (headed(REG, 1 << 40), PLAIN, "unpacks to more than 1000 bytes"),
        (gzip.compress(headed(tarfile.GNUTYPE_LONGNAME, 2 << 30) + b"x" * (40 << 20)), ZIPPED, "is damaged"),
        (gzip.compress(headed(tarfile.XHDTYPE, 2 << 30) + b"x" * (40 << 20)), ZIPPED, "is damaged"),
    ],
    ids=["sparse", "bomb", "more than there is", "long name", "attributes"],
)
def test_what_unpacks_to_more_than_the_model_has_is_refused_before_it_is_written(
    tmp_path: Path, layer: bytes, media_type: str, said: str
) -> None:
    image = made(tmp_path / "layout", (layer, media_type))
    code, told = unpacked_in_small(image, tmp_path / "out", "--most-bytes=1000")
    assert (code, said in told) == (65, True), told
    assert [p.name for p in tmp_path.iterdir()] == ["layout"]


@pytest.mark.servers
def test_without_a_known_size_the_disk_is_the_bound(tmp_path: Path) -> None:
    image = made(tmp_path / "layout", (headed(REG, 1 << 60), PLAIN))
    code, told = unpacked_in_small(image, tmp_path / "out")
    assert (code, "what the disk has free" in told) == (65, True), told


def test_a_model_of_exactly_its_size_is_unpacked_and_one_byte_more_is_not(tmp_path: Path) -> None:
    image = made(tmp_path / "layout", (tar(("models/1/a", REG, b"x" * 600), ("models/1/b", REG, b"x" * 400)), PLAIN))
    assert sum(file.size for file in unpack(image, tmp_path / "out", most=1000)) == 1000
    with pytest.raises(InputError, match="unpacks to more than 999 bytes, the size of the model, by 'models/1/b'"):
        unpack(image, tmp_path / "other", most=999)
    with pytest.raises(InputError, match="unpacks to more than 999 bytes"):
        contents(image, most=999)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colchis_steps._oci.archive.FILES", 3)
    image = made(tmp_path / "layout", (tar(*((f"models/1/{n}", REG, b"") for n in range(4))), PLAIN))
    with pytest.raises(InputError, match="holds more than 3 files"):
        unpack(image, tmp_path / "out")


def test_a_sparse_file_by_attributes_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("models/1/a")
        info.pax_headers = {"GNU.sparse.size": str(2 << 30), "GNU.sparse.map": "0,0", "GNU.sparse.numblocks": "1"}
        archive.addfile(info)
    image = made(tmp_path / "layout", (out.getvalue(), PLAIN))
    with pytest.raises(InputError, match="holds the sparse file 'models/1/a'"):
        unpack(image, tmp_path / "out")
