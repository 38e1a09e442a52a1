"""An npz that says it is small and is not: refused before it is in memory, by each that reads one."""

import hashlib
import io
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.steps.training_data import rows, write_data, write_manifest

from colchis_steps._data.dataset import open_data
from colchis_steps._data.npz import UNREADABLE, check_npz, load_npz
from colchis_steps._formats.data_v1 import Column, Shard
from colchis_steps._step.errors import InputError

WIDE = (Column("image", "float64", (1 << 16,)), Column("label", "int64", classes=("a", "b", "c")))


def header(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    """Return an npy header without its values."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"shape": shape, "fortran_order": False, "descr": dtype})
    return out.getvalue()


def packed(**members: bytes) -> bytes:
    """Return a compressed zip of these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return out.getvalue()


def bomb() -> bytes:
    """Return 0.9 GB of zeros in an npz of 0.9 MB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        with archive.open("image.npy", "w", force_zip64=True) as member:
            member.write(header((1744, 1 << 16)))
            for _ in range(109 * 8):
                member.write(bytes(1 << 20))
        label = io.BytesIO()
        np.save(label, np.zeros(1744, np.int64))
        archive.writestr("label.npy", label.getvalue())
    return out.getvalue()


@pytest.fixture(scope="module")
def bombed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose manifest and shard agree, on much more than the shard's size."""
    directory, content = tmp_path_factory.mktemp("bomb"), bomb()
    assert len(content) < 1 << 20
    (directory / "train-00000.npz").write_bytes(content)
    shard = Shard("train-00000.npz", 1744, len(content), hashlib.sha256(content).hexdigest())
    write_manifest(directory, {"train": (shard,), "eval": (shard,), "test": (shard,)}, WIDE)
    return directory


def test_a_training_refuses_a_bomb(bombed: Path) -> None:
    with pytest.raises(InputError, match=r"train-00000\.npz .*'image\.npy' makes it more than 268435456 bytes"):
        next(open_data(bombed.as_uri()).batches("train", 4))


@pytest.mark.servers
@pytest.mark.parametrize("module", ["validate_data", "import_data"])
def test_a_step_refuses_a_bomb_in_little_memory(bombed: Path, tmp_path: Path, module: str) -> None:
    flags = {
        "validate_data": [f"--store={(tmp_path / 's').as_uri()}", "--run=r", f"--data={bombed.as_uri()}"],
        "import_data": ["mine", f"--from={bombed}/train-00000.npz", f"--to={(tmp_path / 's').as_uri()}"],
    }[module]
    done = subprocess.run(
        [sys.executable, "-m", f"colchis_steps.{module}", *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"OPENBLAS_NUM_THREADS": "1", "PATH": ""},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20)),
    )
    assert (done.returncode, "makes it more than 268435456 bytes" in done.stderr) == (65, True), done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (packed(a=header((1 << 40,))), "makes it more than"),
        (packed(a=header((0, 1 << 62))), None),
        (packed(a=header((1,), "|O")), "Python objects"),
        (packed(a=b"\x93NUMPY\x02\x00" + b"\xff\xff\xff\x7f" + bytes(1 << 16)), "header has"),
        (packed(a=b"no array"), "no npy file"),
        (packed(**{f"a{n}": header((0,)) for n in range(4097)}), "4097 members"),
        (packed(a=header((-5,))), "negative"),
    ],
    ids=["more than there is", "nothing, wide", "objects", "long header", "no array", "many arrays", "negative"],
)
def test_headers_are_held_against_the_bounds(content: bytes, said: str | None) -> None:
    if said is None:
        check_npz(io.BytesIO(content))
        return
    with pytest.raises(UNREADABLE, match=said):
        load_npz(content)


def test_arrays_that_compress_well_are_read(tmp_path: Path) -> None:
    out = io.BytesIO()
    zeros = np.zeros((1000, 1 << 14), np.uint8)  # 16 MiB in 16 KiB
    np.savez_compressed(out, image=zeros, text=np.array(["a" * 5000, "b"]))
    assert len(out.getvalue()) < 1 << 16
    found = load_npz(out.getvalue())
    assert (found["image"].shape, found["text"].tolist()) == (zeros.shape, ["a" * 5000, "b"])


def test_what_is_kept_in_memory_is_counted_as_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_data(write_data(tmp_path / "set", {"train": [6, 6], "eval": [3], "test": [3]}))
    monkeypatch.setattr("colchis_steps._data.reader.KEPT", sum(array.nbytes for array in rows(6, 1).values()))
    list(data.batches("train", 4))
    assert len(data._reader.kept) == 1
