"""The packer reads each byte of a model once, the sample that decides about compression included."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._content.storing import store_directory
from colchis_steps._formats.keys import blob_key
from colchis_steps._oci.contents import contents
from colchis_steps._oci.image import TAR, ZSTD
from colchis_steps._oci.repository import open_repository
from colchis_steps._packing.compression import LEAST, PIECE, PIECES, sampled
from colchis_steps._packing.pack import pack
from colchis_steps._packing.sources import BLOCK, DirectorySource, StoreSource, around
from colchis_steps._store.directory import FileStore
from colchis_steps._store.sums import CHUNK

NOISE = random.Random(3).randbytes(PIECE * PIECES + 3 * BLOCK + 5)
FILES = {
    "saved_model.pb": b"node" * 50_000,
    "variables/variables.data-00000-of-00001": NOISE,
    "variables/variables.index": NOISE[:LEAST],
    "assets/table": b"word " * (PIECE * PIECES // 4),
    "assets/one": b"1",
    "assets/nothing": b"",
}


class Counting(FileStore):
    """A directory that counts the bytes that are read of each object."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.count = Counter[str]()

    def stream(
        self, key: str, chunk: int = CHUNK, start: int = 0, end: int | None = None, *, tag: str = ""
    ) -> Iterator[bytes]:
        for block in super().stream(key, chunk, start, end, tag=tag):
            self.count[key] += len(block)
            yield block


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        (tmp_path / "model" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / path).write_bytes(content)
    return tmp_path / "model"


def test_each_byte_of_a_store_is_read_once(model: Path, tmp_path: Path) -> None:
    store = Counting(tmp_path / "store")
    files = store_directory(store, model).files
    store.count.clear()
    repository = open_repository(f"oci:{tmp_path}/images")
    report = pack(StoreSource(store, files), repository, "1", known={})
    assert +store.count == Counter({blob_key(file.sha256): file.size for file in files if file.size})
    assert {layer.path for layer in report.layers if layer.media_type == ZSTD} == {"saved_model.pb", "assets/table"}
    assert {layer.media_type for layer in report.layers} == {ZSTD, TAR}
    assert sorted(contents(report.image, insecure=False), key=lambda file: file.path) == files
    assert pack(DirectorySource(model), repository, "1", known={}).digest == report.digest


@given(size=st.integers(0, 1 << 40))
def test_what_is_held_and_what_lies_between_is_the_whole_file(size: int) -> None:
    held = {start: b"" for start, _ in sampled(size)} if size else {}
    ends = dict(sampled(size))

    class Piece(bytes):
        """So long as the sample's, without being that."""

        length: int

        def __len__(self) -> int:
            return self.length

    for start in held:
        piece = Piece()
        piece.length = ends[start] - start
        held[start] = piece
    at = 0
    for start, end, content in around(size, held):
        assert (start, end - start > 0) == (at, True)
        assert (content is not None) == (start in held)
        at = end
    assert at == size
