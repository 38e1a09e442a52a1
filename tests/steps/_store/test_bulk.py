"""A store without a fast path for many objects does all the same, one object at a time."""

from pathlib import Path
from typing import Any

import pytest

from colchis_steps._content.blobs import check_files
from colchis_steps._content.plain import publish
from colchis_steps._content.storing import store_directory
from colchis_steps._formats.models import Manifest, tree_digest
from colchis_steps._packing.sources import StoreSource
from colchis_steps._store.api import Bulk, Objects, bulk
from colchis_steps._store.directory import FileStore

ONLY = {name for name in vars(Objects) if not name.startswith("_")} | {"url"}


class Singly:
    """A directory of which nothing but ``Objects`` is to be had."""

    def __init__(self, root: Path) -> None:
        self._store = FileStore(root)

    def __getattr__(self, name: str) -> Any:
        """Pass on what the protocol has."""
        if name not in ONLY:
            raise AttributeError(name)
        return getattr(self._store, name)


def test_many_small_files_go_through_a_store_without_a_fast_path(tmp_path: Path) -> None:
    store: Any = Singly(tmp_path / "store")
    assert not isinstance(store, Bulk)
    made = tmp_path / "made"
    made.mkdir()
    for number in range(20):
        (made / f"{number}").write_bytes(b"x" * number)
    stored = store_directory(store, made)
    assert stored.sent == sum(range(20))
    assert store_directory(store, made).sent == 0
    check_files(store, stored.files, lambda _: None)
    publish(store, Manifest("m", 1, "r", tuple(stored.files), tree_digest(stored.files), ""))
    assert [store.read(f"models/m/1/files/{number}") for number in (3, 7)] == [b"xxx", b"x" * 7]
    assert len(StoreSource(store, stored.files).files) == 20


def test_both_kinds_of_store_have_it(store: Objects) -> None:
    assert id(bulk(store)) == id(store)


@pytest.mark.parametrize(
    ("method", "given", "nothing"),
    [("find_all", ["a", "b"], [None, None]), ("read_all", ["a"], [None]), ("copy_all", [("a", "b")], [False])],
)
def test_none_and_false_stand_for_what_was_not_done(
    tmp_path: Path, method: str, given: list[Any], nothing: list[Any]
) -> None:
    store: Any = Singly(tmp_path)
    assert list(getattr(bulk(store), method)(given)) == nothing
    assert list(bulk(store).upload_all(iter([]))) == []
