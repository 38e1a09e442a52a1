"""The end of a batch: every part read once more, each row counted once, then the manifest."""

from collections.abc import Iterator

from colchis_steps._batch.place import MANIFEST, find_manifest, find_written, part_name
from colchis_steps._content.blobs import digest_of
from colchis_steps._formats.batch import Batch, Plan, Predicted
from colchis_steps._formats.documents import encode, now
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._store.api import NotFound, Objects


def finish(to: Objects, plan: Plan) -> Batch:
    """Verify all parts and write the manifest, which is the last document; return it. Safe to run again.

    Raises:
        TransientError: a part is missing or damaged; another run makes it anew.
        InputError: there is a file that no row of the plan is in.
    """
    parts = tuple(_verified(to, plan))
    names = {part.path for part in parts}
    if other := next((key for key in to.keys("") if key.endswith(".parquet") and key not in names), None):
        raise InputError(f"{to.url}/{other} is not of these predictions, and readers would take it for some; remove it")
    found = Batch(
        model=plan.model,
        version=plan.version,
        tree=plan.tree,
        data=plan.data,
        data_digest=plan.data_digest,
        rows=sum(part.rows for part in parts),
        parts=parts,
        created_at=now(),
    )
    before = find_manifest(to)
    if before and (before.parts, before.tree) == (found.parts, found.tree):
        return before
    to.write(MANIFEST, encode(found))
    return found


def _verified(to: Objects, plan: Plan) -> Iterator[Predicted]:
    for number, one in enumerate(plan.inputs):
        found, name = find_written(to, plan, number), f"{to.url}/{part_name(number)}"
        if found is None:
            raise TransientError(f"{name} is not there; run this again, and what is missing is predicted")
        if found.rows != one.shard.rows:
            raise TransientError(f"{name} has {found.rows} rows instead of {one.shard.rows}; remove it and run again")
        try:
            size, digest = digest_of(to, found.path, lambda _: None)
        except NotFound as error:
            raise TransientError(f"{name} is gone; run this again, and it is predicted anew") from error
        if (size, digest) != (found.size, found.sha256):
            raise TransientError(
                f"{name} is damaged: {size} bytes of sha256 {digest} instead of {found.size} of {found.sha256}; "
                "run this again, and it is predicted anew"
            )
        yield found
