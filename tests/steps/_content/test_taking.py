"""What upload takes over of a candidate: what was verified and nothing else, once, wherever an earlier try ended."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.steps.conftest import REAL, real_store

from colchis_steps._content.blobs import check_files
from colchis_steps._content.confirmed import confirm, described
from colchis_steps._content.storing import store_directory
from colchis_steps._content.taking import take_over
from colchis_steps._formats.keys import blob_key, candidate_blob_key
from colchis_steps._formats.models import File
from colchis_steps._models.candidates import blobs_of
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.opening import open_store
from colchis_steps._store.s3 import store as s3
from colchis_steps._store.sums import CHUNK

LARGE = 200_000


@pytest.fixture(params=["file", *REAL])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """A store of each kind that knows conditions on what is copied."""
    return open_store((tmp_path / "s").as_uri() if request.param == "file" else real_store(request, request.param))


def trained(store: Objects, directory: Path, size: int = LARGE) -> list[File]:
    (directory / "variables").mkdir(parents=True)
    for name, content in {"saved_model.pb": b"graph", "variables/data": os.urandom(size), "copy": b"graph"}.items():
        (directory / name).write_bytes(content)
    return store_directory(blobs_of(store, "r"), directory).files


def take(store: Objects, files: list[File], beside: Objects | None = None) -> int:
    return take_over(store, beside or blobs_of(store, "r"), "r", files)


def large_of(files: list[File]) -> File:
    return max(files, key=lambda file: file.size)


def after_reading(beside: Objects, act: Callable[[], object]) -> Objects:
    """Return the same store; when somebody has read an object to its end, the act comes at once."""
    kind = type(beside)

    class Watched(kind):  # type: ignore[misc, valid-type]
        def stream(
            self, key: str, chunk: int = CHUNK, start: int = 0, end: int | None = None, *, tag: str = ""
        ) -> Iterator[bytes]:
            yield from super().stream(key, chunk, start, end, tag=tag)
            act()

    beside.__class__ = Watched
    return beside


def test_each_blob_is_taken_over_once(store: Objects, tmp_path: Path) -> None:
    files = trained(store, tmp_path / "model")
    assert list(store.keys("blobs/")) == []
    assert take(store, files) == 5, "the large one is copied by the server"
    check_files(store, files)
    assert take(store, files) == 0
    assert len(list(store.keys("blobs/"))) == 2


def test_many_small_ones_are_all_taken_over(store: Objects, tmp_path: Path) -> None:
    directory = tmp_path / "model"
    directory.mkdir()
    for number in range(600):
        (directory / str(number)).write_text(f"file {number}")
    files = store_directory(blobs_of(store, "r"), directory).files
    assert take(store, files[:100]) == sum(file.size for file in files[:100])  # a try that ended early
    assert take(store, files) == sum(file.size for file in files[100:])
    check_files(store, files)


def test_what_is_swapped_after_it_was_verified_is_refused(store: Objects, tmp_path: Path) -> None:
    files = trained(store, tmp_path / "model")
    large = large_of(files)
    key = candidate_blob_key("r", large.sha256)
    beside = after_reading(blobs_of(store, "r"), lambda: store.write(key, os.urandom(LARGE)))
    with pytest.raises(InputError, match=f"blob {large.sha256} of variables/data .* changed while it was verified"):
        take(store, [large], beside)
    assert store.size(blob_key(large.sha256)) is None


def test_what_is_altered_or_missing_is_refused(store: Objects, tmp_path: Path) -> None:
    files = trained(store, tmp_path / "model")
    for file in {file.sha256: file for file in files}.values():
        key, right = candidate_blob_key("r", file.sha256), store.read(candidate_blob_key("r", file.sha256))
        store.write(key, bytes(file.size))
        with pytest.raises(InputError, match=f"blob {file.sha256} of .* is altered"):
            take(store, [file])
        store.delete(key)
        with pytest.raises(NotFound, match=f"blob {file.sha256} of .* is missing"):
            take(store, [file])
        assert store.size(blob_key(file.sha256)) is None
        store.write(key, right)


def test_a_blob_of_the_store_that_is_altered_is_mended(store: Objects, tmp_path: Path) -> None:
    files = trained(store, tmp_path / "model")
    for file in files:
        store.write(blob_key(file.sha256), bytes(file.size))
    take(store, files)
    check_files(store, files)


def test_what_was_confirmed_is_not_read_again_unless_it_has_changed(store: Objects, tmp_path: Path) -> None:
    files, read = trained(store, tmp_path / "model"), list[bool]()
    confirm(store, "r", described(blobs_of(store, "r"), files))
    large = large_of(files)
    take(store, files, after_reading(blobs_of(store, "r"), lambda: read.append(True)))
    assert read == [True] * (store.url.startswith("file:"))  # a directory reads the small one by itself
    store.delete(blob_key(large.sha256))
    store.write(candidate_blob_key("r", large.sha256), os.urandom(LARGE))
    with pytest.raises(InputError, match=f"blob {large.sha256} of variables/data .* is altered"):
        take(store, files)


@pytest.mark.servers
def test_one_that_is_too_large_for_one_request_is_copied_in_parts(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "COPY_WHOLE", 5 << 20)
    store = open_store(real_store(request, "minio"))
    files = trained(store, tmp_path / "model", 12 << 20)
    large = large_of(files)
    swapped = after_reading(
        blobs_of(store, "r"), lambda: store.write(candidate_blob_key("r", large.sha256), bytes(12 << 20))
    )
    right = b"".join(store.stream(candidate_blob_key("r", large.sha256)))
    with pytest.raises(InputError, match="changed while it was verified"):
        take(store, [large], swapped)
    store.write(candidate_blob_key("r", large.sha256), right)
    assert take(store, [large]) == 0
    assert hashlib.sha256(store.read(blob_key(large.sha256))).hexdigest() == large.sha256
