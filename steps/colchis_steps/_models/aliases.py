"""Aliases of a model's versions, moved by ``If-Match``."""

from collections.abc import Callable

from msgspec.structs import replace

from colchis_steps._formats.documents import decode, encode, now
from colchis_steps._formats.keys import alias_key
from colchis_steps._formats.models import Alias, Record
from colchis_steps._step.errors import TransientError
from colchis_steps._store.api import Conflict, NotFound, Objects
from colchis_steps._store.documents import DOCUMENT, find_document

ATTEMPTS = 20  # each time that one fails, another writer has moved the alias


def stable(store: Objects, model: str) -> Alias | None:
    """Return the alias ``stable`` of the model, or None."""
    return find_document(store, alias_key(model, "stable"), Alias)


def move(store: Objects, key: str, decide: Callable[[Alias | None], Alias | None]) -> None:
    """Write what ``decide`` makes of the alias that is there; None leaves it. It is asked anew after a lost race.

    Fields of a newer release stay.

    Raises:
        Unreadable: what is there is not an alias that this release reads.
        TransientError: other writers were faster each time.
    """
    for _ in range(ATTEMPTS):
        try:
            content, tag = store.read_tagged(key, DOCUMENT)
            before = decode(Alias, content, f"{store.url}/{key}")
        except NotFound:
            content, tag, before = b"", None, None
        wanted = decide(before)
        if wanted is None:
            return
        try:
            store.replace(key, encode(wanted, content), tag)
        except Conflict:
            continue
        return
    raise TransientError(f"{store.url}/{key} was moved by others {ATTEMPTS} times in a row; run this step again")


def move_latest(store: Objects, record: Record) -> None:
    """Let the alias ``latest`` name the version, unless it names a higher one. Raises as ``move``."""

    def decide(found: Alias | None) -> Alias | None:
        if found and found.version >= record.version:
            return None
        previous = found.version if found else None
        return Alias(record.model, record.version, now(), previous, record.run, record.image)

    move(store, alias_key(record.model, "latest"), decide)


def move_canary(store: Objects, wanted: Alias) -> None:
    """Let the alias ``canary`` be the wanted one. Raises as ``move``."""
    move(store, alias_key(wanted.model, "canary"), lambda _: wanted)


def move_stable(store: Objects, wanted: Alias, *, back: bool) -> int | None:
    """Move the alias ``stable`` and clear ``canary``; return the version that was stable before. Raises as ``move``.

    Going back leaves no previous version: the next rollback must not go forward to what was just withdrawn.
    """
    before: int | None = None

    def decide(found: Alias | None) -> Alias | None:
        nonlocal before
        before = None if found is None else found.previous if found.version == wanted.version else found.version
        same = found and (found.version, found.image, found.endpoint) == (wanted.version, wanted.image, wanted.endpoint)
        return None if same else replace(wanted, previous=None if back else before)

    move(store, alias_key(wanted.model, "stable"), decide)
    store.delete(alias_key(wanted.model, "canary"))
    return before
