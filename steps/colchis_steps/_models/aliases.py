"""Aliases of a model's versions, moved by ``If-Match``."""

import logging

from colchis_steps._formats.documents import decode, encode, now
from colchis_steps._formats.keys import alias_key
from colchis_steps._formats.models import Alias, Record
from colchis_steps._step.errors import TransientError
from colchis_steps._store.api import Conflict, NotFound, Store
from colchis_steps._store.documents import find_document


def stable(store: Store, model: str) -> Alias | None:
    """Give the alias ``stable`` of the model, or None."""
    return find_document(store, alias_key(model, "stable"), Alias)


def move_stable(store: Store, wanted: Alias, *, back: bool) -> int | None:
    """Move the alias and clear the canary's; give the version that was stable before.

    Going back leaves no previous version: the next rollback must not go forward to what was just withdrawn.
    """
    key = alias_key(wanted.model, "stable")
    while True:
        try:
            content, tag = store.read_tagged(key)
            found, taken = decode(Alias, content, f"{store.url}/{key}"), tag
        except NotFound:
            found, taken = None, None
        before = None if found is None else found.previous if found.version == wanted.version else found.version
        wanted.previous = None if back else before
        same = found and (found.version, found.image, found.endpoint) == (wanted.version, wanted.image, wanted.endpoint)
        if not same:
            try:
                store.replace(key, encode(wanted), taken)
            except Conflict:
                continue
        store.delete(alias_key(wanted.model, "canary"))
        return before


log = logging.getLogger("colchis")
ATTEMPTS = 20  # at moving the alias; another writer wins each time that one fails


def move_latest(store: Store, record: Record) -> None:
    """Let the alias latest name the version, unless it names a higher one.

    Raises:
        TransientError: other writers were faster each time.
    """
    key = alias_key(record.model, "latest")
    for _ in range(ATTEMPTS):
        tag, before = None, None
        try:
            content, tag = store.read_tagged(key)
            before = decode(Alias, content, f"{store.url}/{key}")
        except NotFound:
            log.info("%s has its first version", record.model)
        if before and before.version >= record.version:
            return
        previous = before.version if before else None
        alias = Alias(
            model=record.model,
            version=record.version,
            updated_at=now(),
            previous=previous,
            run=record.run,
            image=record.image,
        )
        try:
            store.replace(key, encode(alias), tag)
        except Conflict:
            continue
        return
    raise TransientError(f"{store.url}/{key} is written by others all the time; run register again")
