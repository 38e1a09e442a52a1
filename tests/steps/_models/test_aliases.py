"""Aliases move by If-Match: no writer undoes another one's move, and none tries for ever."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from colchis_steps._formats.documents import Newer, encode
from colchis_steps._formats.keys import alias_key
from colchis_steps._formats.models import Alias, Code, Record
from colchis_steps._models.aliases import ATTEMPTS, move, move_canary, move_latest, move_stable, stable
from colchis_steps._step.errors import TransientError
from colchis_steps._store.api import Objects
from colchis_steps._store.directory import FileStore
from colchis_steps._store.documents import find_document, read_document

THEN = "2026-01-01T00:00:00Z"
LATEST, STABLE, CANARY = (alias_key("digits", name) for name in ("latest", "stable", "canary"))


def record(version: int) -> Record:
    return Record(
        model="digits", version=version, run=f"r{version}", image=f"image-{version}", digest="", tree="", manifest="",
        manifest_digest="", data="", data_digest="", code=Code("e:e"), hyperparameters={}, metrics={}, verdict="pass",
        frameworks={}, step_images={}, workflow="", created_by="", created_at=THEN,
    )  # fmt: skip


class Busy(FileStore):
    """A store in which another writer moves the alias just before each of ours."""

    races = 0

    def replace(self, key: str, content: bytes, tag: str | None) -> None:
        """Lose the race."""
        self.races += 1
        super().write(key, encode(Alias("digits", 1, f"then {self.races}")))
        super().replace(key, content, tag)


def test_of_writers_at_once_the_highest_version_is_latest(store: Objects) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda version: move_latest(store, record(version)), [3, 1, 4, 2]))
    found = read_document(store, LATEST, Alias)
    assert (found.version, found.run, found.image) == (4, "r4", "image-4")


def test_latest_never_goes_back_and_remembers_what_it_was(store: Objects) -> None:
    for version in (2, 5, 3):
        move_latest(store, record(version))
    found = read_document(store, LATEST, Alias)
    assert (found.version, found.previous) == (5, 2)


def test_attempts_have_an_end(tmp_path: Path) -> None:
    busy = Busy(tmp_path)
    with pytest.raises(TransientError, match=rf"{LATEST} was moved by others {ATTEMPTS} times in a row; run this step"):
        move_latest(busy, record(2))
    with pytest.raises(TransientError, match=STABLE):
        move_stable(busy, Alias("digits", 2, THEN), back=False)
    assert busy.races == 2 * ATTEMPTS


def test_what_is_to_be_written_is_decided_anew_after_a_lost_race(tmp_path: Path) -> None:
    class Once(Busy):
        def replace(self, key: str, content: bytes, tag: str | None) -> None:
            """Lose the first race only."""
            return FileStore.replace(self, key, content, tag) if self.races else super().replace(key, content, tag)

    once = Once(tmp_path)
    assert move_stable(once, Alias("digits", 2, THEN), back=False) == 1
    found = stable(once, "digits")
    assert found
    assert (found.version, found.previous) == (2, 1)


def test_the_version_before_is_kept_but_for_a_rollback(store: Objects) -> None:
    assert move_stable(store, Alias("digits", 1, THEN), back=False) is None
    assert move_stable(store, Alias("digits", 2, THEN), back=False) == 1
    assert move_stable(store, Alias("digits", 2, THEN), back=False) == 1, "the same again changes nothing"
    assert move_stable(store, Alias("digits", 1, THEN), back=True) == 2
    found = stable(store, "digits")
    assert found
    assert (found.version, found.previous) == (1, None)


def test_stable_takes_the_canary_away(store: Objects) -> None:
    move_canary(store, Alias("digits", 2, THEN, weight=10))
    move_canary(store, Alias("digits", 2, THEN, weight=30))
    canary = read_document(store, CANARY, Alias)
    assert canary.weight == 30
    move_stable(store, Alias("digits", 2, THEN), back=False)
    assert find_document(store, CANARY, Alias) is None


@pytest.mark.parametrize("key", [LATEST, STABLE])
def test_fields_of_a_newer_release_stay(store: Objects, key: str) -> None:
    before = {"kind": "colchis.dev/alias/v1", "model": "digits", "version": 1, "updated_at": THEN, "note": {"by": "me"}}
    store.write(key, json.dumps(before).encode())
    if key == LATEST:
        move_latest(store, record(2))
    else:
        move_stable(store, Alias("digits", 2, THEN), back=False)
    after = json.loads(store.read(key))
    assert (after["version"], after["previous"], after["note"]) == (2, 1, {"by": "me"})


def test_an_alias_of_a_newer_kind_is_left_as_it_is(store: Objects) -> None:
    content = b'{"kind": "colchis.dev/alias/v2", "versions": {"eu": 2}}'
    store.write(STABLE, content)
    with pytest.raises(Newer, match="upgrade Colchis"):
        move_stable(store, Alias("digits", 3, THEN), back=False)
    assert store.read(STABLE) == content


def test_none_leaves_the_alias(store: Objects) -> None:
    move(store, STABLE, lambda _: None)
    assert store.size(STABLE) is None
