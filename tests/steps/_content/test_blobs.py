"""Files as blobs: stored once, fetched verified, stopped at the first error."""

import hashlib
import os
from functools import partial
from pathlib import Path

import pytest

from colchis_steps._content.blobs import check_files, scan
from colchis_steps._content.fetching import fetch_files
from colchis_steps._content.storing import BATCH, store_directory
from colchis_steps._formats.keys import blob_key
from colchis_steps._formats.models import File
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.s3.store import WINDOW


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    (directory / "variables").mkdir(parents=True)
    (directory / "assets").mkdir()
    (directory / "saved_model.pb").write_bytes(b"graph")
    (directory / "variables/data").write_bytes(os.urandom(3_000_000))
    (directory / "variables/copy").write_bytes((directory / "variables/data").read_bytes())
    (directory / "empty").touch()
    return directory


def test_scan_lists_files_sorted_with_their_digests(model: Path) -> None:
    files = scan(model)
    assert [file.path for file in files] == ["empty", "saved_model.pb", "variables/copy", "variables/data"]
    assert files[1] == File(path="saved_model.pb", size=5, sha256=hashlib.sha256(b"graph").hexdigest())


def test_of_more_files_than_a_batch_holds_each_is_stored(store: Objects, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(2 * BATCH + 3):
        (many / f"{number:04}").write_text(f"file {number}")
    files, sent = store_directory(store, many)
    assert [file.path for file in files] == [f"{number:04}" for number in range(2 * BATCH + 3)]
    assert (files, sent) == (scan(many), sum(file.size for file in files))
    for file in files[::50]:
        assert store.read(blob_key(file.sha256)) == (many / file.path).read_bytes()


def test_scan_refuses_what_is_no_plain_file(model: Path, tmp_path: Path) -> None:
    (model / "link").symlink_to(model / "empty")
    with pytest.raises(InputError, match=r"model/link is a link or a special file; .*copy it in"):
        scan(model)
    (model / "link").unlink()
    os.mkfifo(model / "pipe")
    with pytest.raises(InputError, match="model/pipe is a link or a special file"):
        scan(model)
    (model / "pipe").unlink()
    with pytest.raises(InputError, match="absent is not a directory; give the one that holds"):
        scan(tmp_path / "absent")
    with pytest.raises(InputError, match="assets holds no files"):
        scan(model / "assets")
    (model / "assets" / "two\nlines").touch()
    with pytest.raises(InputError, match="is not a key of a store"):
        scan(model)


def test_equal_files_are_stored_once_and_nothing_twice(store: Objects, model: Path, tmp_path: Path) -> None:
    files, moved = scan(model), list[int]()
    assert store_directory(store, model, moved.append) == (files, 3_000_005)
    assert sum(moved) == 6_000_005
    assert len(list(store.keys("blobs/sha256/"))) == 3
    moved.clear()
    assert store_directory(store, model, moved.append) == (files, 0)
    assert sum(moved) == 6_000_005
    moved.clear()
    check_files(store, files, moved.append)
    assert sum(moved) == 3_000_005
    fetch_files(store, files, tmp_path / "back")
    assert scan(tmp_path / "back") == files


def test_a_blob_of_another_size_is_replaced(store: Objects, model: Path) -> None:
    files = scan(model)
    store.write(blob_key(files[1].sha256), b"gra")
    with pytest.raises(InputError, match=r"blob .* of saved_model.pb in .* is altered \(3 bytes"):
        check_files(store, files[1:2])
    assert store_directory(store, model).sent == 3_000_005
    check_files(store, files)


@pytest.mark.parametrize("size", [5, 4, 6])
def test_an_altered_blob_is_named_and_not_fetched(store: Objects, model: Path, tmp_path: Path, size: int) -> None:
    files = store_directory(store, model).files
    store.write(blob_key(files[1].sha256), b"GRAPHS"[:size])
    for use in (partial(check_files, store, files), partial(fetch_files, store, files, tmp_path / "back")):
        with pytest.raises(InputError, match=r"of saved_model.pb in .* is altered .*; remove blobs/sha256/"):
            use()
    assert not (tmp_path / "back/saved_model.pb").exists()
    assert not list((tmp_path / "back").rglob("*.incomplete"))


def test_a_missing_blob_is_named(store: Objects, model: Path, tmp_path: Path) -> None:
    files = store_directory(store, model).files
    store.delete(blob_key(files[0].sha256))
    for use in (partial(check_files, store, files), partial(fetch_files, store, files, tmp_path / "back")):
        with pytest.raises(InputError, match=r"of empty is missing in .*; train or upload the model again"):
            use()


@pytest.mark.parametrize("path", ["../out", "/out", "a/../../out", "link/out"])
def test_no_file_is_fetched_outside(store: Objects, model: Path, tmp_path: Path, path: str) -> None:
    file = store_directory(store, model).files[1]
    back = tmp_path / "back"
    back.mkdir()
    (back / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"is not a key of a store|leaves its directory"):
        fetch_files(store, [File(path=path, size=file.size, sha256=file.sha256)], back)
    assert not (tmp_path / "out").exists()


def test_an_error_stops_the_files_beside_it(store: Objects, tmp_path: Path) -> None:
    directory = tmp_path / "many"
    directory.mkdir()
    for name in range(2 * BATCH):
        (directory / f"{name:03}").write_bytes(os.urandom(100))

    def moved(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_directory(store, directory, moved)
    assert len(list(store.keys(""))) <= WINDOW
