"""A version with all that makes it one that may be served, as register leaves it."""

from typing import Any

from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.keys import manifest_key, record_key, statement_key
from colchis_steps._formats.models import Code, Manifest, Record
from colchis_steps._models.binding import MANIFEST, RECORD, sha256
from colchis_steps._models.provenance import statement
from colchis_steps._store.api import Objects


def put_on_record(store: Objects, manifest: Manifest, image: str, **fields: Any) -> Record:
    """Write a version's manifest, record and statement; ``fields`` are the record's that matter to the test."""
    key, content = manifest_key(manifest.model, manifest.version), encode(manifest)
    told: dict[str, Any] = {
        "data": "", "data_digest": "", "code": Code("e:e"), "hyperparameters": {}, "metrics": {}, "verdict": "pass",
        "frameworks": {}, "step_images": {}, "workflow": "", "created_by": "", "created_at": now(),
        "evaluation": "sha256:judged",
    } | fields  # fmt: skip
    record = Record(
        model=manifest.model, version=manifest.version, run=manifest.run, image=image, digest=image.partition("@")[2],
        tree=manifest.tree, manifest=key, manifest_digest=sha256(content), **told,
    )  # fmt: skip
    documents = {RECORD: sha256(encode(record)), MANIFEST: sha256(content)}
    store.write(key, content)
    store.write(record_key(record.model, record.version), encode(record))
    stated = statement(record, manifest.files, (), {}, documents=documents)
    store.write(statement_key(record.model, record.version), stated)
    return record
