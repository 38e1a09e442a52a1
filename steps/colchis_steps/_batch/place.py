"""Where the predictions lie: names below the output's own prefix, and the documents there."""

from colchis_steps._formats.batch import Batch, Input, Plan, Predicted, Written
from colchis_steps._formats.documents import canonical_digest
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document

PLAN, MANIFEST = "_plan.json", "_manifest.json"


def part_name(number: int) -> str:
    """Return the name of a part of the predictions."""
    return f"part-{number:05}.parquet"


def written_name(number: int) -> str:
    """Return the name of the document that says that the part is there."""
    return f"_parts/{number:05}.json"


def part_digest(plan: Plan, one: Input) -> str:
    """Return the digest of all that a part depends on: the same again needs no new part."""
    return canonical_digest([plan.model, plan.tree, list(plan.keys), one.shard.sha256, one.first])


def find_written(to: Objects, plan: Plan, number: int) -> Predicted | None:
    """Return a part that this plan, or one like it, has written; it is not verified yet."""
    found = find_document(to, written_name(number), Written)
    return found.part if found and found.plan == part_digest(plan, plan.inputs[number]) else None


def find_plan(to: Objects) -> Plan | None:
    """Return the plan, or None where there is none yet."""
    return find_document(to, PLAN, Plan)


def find_manifest(to: Objects) -> Batch | None:
    """Return the manifest of predictions that are complete, or None."""
    return find_document(to, MANIFEST, Batch)
