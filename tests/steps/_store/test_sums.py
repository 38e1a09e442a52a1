"""Both digests from one read, and files that do not hold still."""

import base64
import hashlib
import os
from pathlib import Path

import pytest
from awscrt.checksums import crc64nvme

from colchis_steps._content import storing
from colchis_steps._content.storing import store_directory
from colchis_steps._step.errors import InputError
from colchis_steps._store import sums as _sums
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store
from colchis_steps._store.sums import SMALL, check_unchanged, encoded, part_length, read_small, read_sums


@pytest.mark.parametrize("size", [0, 1, 1000, 2048, 2049, 10_000])
def test_one_read_gives_both_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(_sums, "PART", 1024)
    monkeypatch.setattr(_sums, "CHUNK", 300)
    (path := tmp_path / "file").write_bytes(content := os.urandom(size))
    sums = read_sums(path)
    assert (sums.size, sums.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert sums.parts == tuple(crc64nvme(content[at : at + 1024]) for at in range(0, max(size, 1), 1024))
    assert sums.crc64nvme == crc64nvme(content)
    assert read_sums(path, sha256=False) == sums._replace(sha256="")


@pytest.mark.parametrize("size", [0, 1, 4096, SMALL])
def test_a_small_file_is_read_with_its_digests(tmp_path: Path, size: int) -> None:
    (path := tmp_path / "file").write_bytes(content := os.urandom(size))
    assert read_small(path) == (content, read_sums(path))


@pytest.mark.parametrize("later", [b"x" * 99, b"x" * 101, b"x" * (SMALL + 1)], ids=len)
def test_a_small_file_that_changes_while_it_is_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: bytes
) -> None:
    (path := tmp_path / "file").write_bytes(b"x" * 100)
    read = os.read

    def changing(handle: int, size: int) -> bytes:
        path.write_bytes(later)
        return read(handle, size)

    monkeypatch.setattr(os, "read", changing)
    with pytest.raises(InputError, match="file changed while it was read"):
        read_small(path)


def test_a_small_file_that_is_none_is_named(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(bytes(SMALL + 1))
    with pytest.raises(InputError, match="file changed while it was read"):
        read_small(path)
    with pytest.raises(InputError, match="absent cannot be read"):
        read_small(tmp_path / "absent")


def test_the_checksum_is_the_one_of_the_specification() -> None:
    """The check value of CRC-64/NVME in the NVM Express command set specification, as S3 writes it."""
    assert encoded(crc64nvme(b"123456789")) == base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode()


@pytest.mark.parametrize("size", [1, 8 << 20, 100 << 30, 5 << 40])
def test_parts_are_few_enough(size: int) -> None:
    assert -(-size // part_length(size)) <= 10_000
    assert part_length(size) >= 8 << 20


def test_a_file_that_was_written_to_is_named(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_bytes(b"x" * 100)
    sums = read_sums(path)
    check_unchanged(path, sums)
    path.write_bytes(b"y" * 101)
    with pytest.raises(InputError, match="file changed while it was read; let whatever writes it end"):
        check_unchanged(path, sums)
    path.unlink()
    with pytest.raises(InputError, match="file cannot be read"):
        check_unchanged(path, sums)


def test_a_file_that_changes_between_its_two_reads_is_not_stored(
    store: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "weights").write_bytes(bytes(_sums.PART + 10))

    def changing(path: Path) -> _sums.Sums:
        sums = read_sums(path)
        with path.open("r+b") as file:
            file.seek(77)
            file.write(b"other")
        return sums

    monkeypatch.setattr(storing, "read_sums", changing)
    with pytest.raises(InputError, match="weights changed while it was read"):
        store_directory(store, directory)
    assert list(store.keys("")) == []


def test_the_store_reads_a_file_whose_sums_nobody_has(tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    (tmp_path / "file").write_bytes(b"content")
    assert store.upload("k", tmp_path / "file")
    assert store.read("k") == b"content"
