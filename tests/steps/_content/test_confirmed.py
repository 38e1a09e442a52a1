"""A candidate's blobs are verified once: what was read and is described alike is not read again."""

import os
from pathlib import Path

import pytest
from tests.steps._packing.test_pack_reads import Counting

from colchis_steps._content.confirmed import check_confirmed, confirm, described
from colchis_steps._content.fetching import fetch_files
from colchis_steps._content.storing import store_directory
from colchis_steps._formats.keys import blob_key
from colchis_steps._formats.models import File
from colchis_steps._oci.repository import open_repository
from colchis_steps._packing.pack import pack
from colchis_steps._packing.sources import StoreSource
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects


def stored(store: Objects, directory: Path) -> list[File]:
    """Store a model of a small and a larger file, and one that is there twice."""
    (directory / "variables").mkdir(parents=True)
    for name, content in {"saved_model.pb": b"graph", "variables/data": os.urandom(100_000), "copy": b"graph"}.items():
        (directory / name).write_bytes(content)
    return store_directory(store, directory).files


def verified(store: Objects, files: list[File], directory: Path) -> None:
    """Read the files as evaluate does, and note it."""
    before = described(store, files)
    fetch_files(store, files, directory)
    confirm(store, "r", before)


def test_from_the_gate_to_the_image_each_blob_is_read_twice_and_never_only_to_verify(tmp_path: Path) -> None:
    store = Counting(tmp_path / "store")
    files = stored(store, tmp_path / "model")
    sizes = {blob_key(file.sha256): file.size for file in files}
    store.count.clear()
    verified(store, files, tmp_path / "fetched")
    assert {key: store.count[key] for key in sizes} == {
        key: size * (2 if size == 5 else 1) for key, size in sizes.items()
    }
    store.count.clear()
    moved: list[int] = []
    check_confirmed(store, "r", files, moved.append)
    assert [key for key in store.count if key in sizes] == []
    assert sum(moved) == 100_005
    pack(StoreSource(store, files), open_repository(f"oci:{tmp_path}/images"), "1", known={})
    assert store.count[blob_key(files[-1].sha256)] == 100_000


def test_without_a_confirmation_all_is_read(tmp_path: Path) -> None:
    store = Counting(tmp_path / "store")
    files = stored(store, tmp_path / "model")
    store.count.clear()
    check_confirmed(store, "r", files)
    assert sum(store.count.values()) == 100_005


def test_a_blob_that_was_altered_since_is_found(store: Objects, tmp_path: Path) -> None:
    files = stored(store, tmp_path / "model")
    verified(store, files, tmp_path / "fetched")
    check_confirmed(store, "r", files)
    large = next(file for file in files if file.size > 5)
    content = store.read(blob_key(large.sha256))
    store.write(blob_key(large.sha256), content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=f"blob {large.sha256} of variables/data .* is altered"):
        check_confirmed(store, "r", files)
    store.delete(blob_key(large.sha256))
    with pytest.raises(NotFound, match=f"blob {large.sha256} of variables/data is missing"):
        check_confirmed(store, "r", files)


def test_a_blob_that_was_altered_when_it_was_confirmed_is_found(store: Objects, tmp_path: Path) -> None:
    """Somebody put the right bytes in its place while it was read, and took them away again."""
    files = stored(store, tmp_path / "model")
    small = blob_key(files[0].sha256)
    right = store.read(small)
    store.write(small, b"xxxxx")
    before = described(store, files)
    store.write(small, right)
    fetch_files(store, files, tmp_path / "fetched")
    confirm(store, "r", before)
    check_confirmed(store, "r", files)  # it is not described as it was then, so it is read
    store.write(small, b"yyyyy")
    with pytest.raises(InputError, match="is altered"):
        check_confirmed(store, "r", files)
