"""What a rollout reads and writes in the store, whatever the target: published versions and the alias ``stable``."""

import logging

from colchis_steps._formats import Alias, Manifest, Record, Rollout, decode, encode, now
from colchis_steps._serving_config import Range, Served
from colchis_steps._step import InputError, StepError
from colchis_steps._store import Conflict, NotFound, Store, find_document, read_document

log = logging.getLogger("colchis")


def stable_key(model: str) -> str:
    """Give the key of the alias ``stable``."""
    return f"models/{model}/aliases/stable.json"


def canary_key(model: str) -> str:
    """Give the key of the alias ``canary``."""
    return f"models/{model}/aliases/canary.json"


def stable(store: Store, model: str) -> Alias | None:
    """Give the alias ``stable`` of the model, or None."""
    return find_document(store, stable_key(model), Alias)


def rollout_key(model: str, run: str) -> str:
    """Give the key of what is known of a rollout."""
    return f"models/{model}/rollouts/{run}.json"


def begun(store: Store, model: str, version: int, run: str, stable: int | None) -> Rollout:
    """Give what an earlier start of this run wrote down of the version, or a new document."""
    found = find_document(store, rollout_key(model, run), Rollout)
    return found if found and found.version == version else Rollout(model, version, run, stable, now())


def write(store: Store, told: Rollout, verdict: str = "", reason: str = "") -> None:
    """Write a rollout down; with a verdict, it is over."""
    told.verdict, told.reason, told.finished_at = verdict, reason, now() if verdict else ""
    store.write(rollout_key(told.model, told.run), encode(told))


def published(store: Store, model: str, version: int) -> tuple[Manifest, Record]:
    """Give the two documents that make a version one that may be served. Raises InputError where one is missing."""
    key = f"models/{model}/{version}"
    try:
        return read_document(store, f"{key}/manifest.json", Manifest), read_document(
            store, f"{key}/record.json", Record
        )
    except NotFound as error:
        raise InputError(f"version {version} of {model} is not published ({error}); run upload and register") from error


def check_image(record: Record, image: str) -> None:
    """Raise InputError where ``image`` is not the one that the version's record names."""
    if image.rpartition("@")[2] != record.digest:
        name = f"{record.model} {record.version}"
        raise InputError(f"{image} is not the image of {name}, which is {record.image}; roll out that one")


def told_by_data(record: Record) -> tuple[dict[str, Range], tuple[str, ...]]:
    """Give the inputs' ranges and the classes' names as the data set tells them; it may be gone by now."""
    from colchis_steps._data import manifest

    try:
        data = manifest(record.data)
    except StepError as error:
        log.warning("the ranges of the inputs and the classes' names are not known: %s", error)
        return {}, ()
    ranges = {
        column.name: Range(column.minimum, column.maximum)
        for column in data.columns
        if column.name != data.label and column.minimum is not None and column.maximum is not None
    }
    return ranges, next((column.classes for column in data.columns if column.name == data.label), None) or ()


def described(path: str, manifest: Manifest, record: Record) -> Served:
    """Give what the server's configuration says of a version whose files lie at ``path``."""
    return Served(path, manifest.tree, *told_by_data(record), record.frameworks.get("tensorflow", ""))


def move_stable(store: Store, wanted: Alias, *, back: bool) -> int | None:
    """Move the alias and clear the canary's; give the version that was stable before.

    Going back leaves no previous version: the next rollback must not go forward to what was just withdrawn.
    """
    key = stable_key(wanted.model)
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
        store.delete(canary_key(wanted.model))
        return before
