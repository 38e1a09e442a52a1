"""What the gate and register leave: an evaluation that passed, and a version that may be served."""

from typing import Any

import msgspec

from colchis_steps._formats.documents import content_digest, encode, now
from colchis_steps._formats.keys import manifest_key, record_key, statement_key
from colchis_steps._formats.models import Candidate, Code, Manifest, Record
from colchis_steps._formats.runs import Evaluation
from colchis_steps._models.binding import MANIFEST, RECORD
from colchis_steps._models.provenance import statement
from colchis_steps._store.api import Objects


def judged(candidate: Candidate, verdict: str = "pass", **fields: Any) -> dict[str, Any]:
    """Return the details that evaluate leaves of a candidate; ``fields`` are what matters to the test."""
    found: dict[str, Any] = {
        "metrics": {"accuracy": 0.97, "loss": 0.1}, "slices": {}, "baseline_version": None, "baseline_metrics": {},
        "classes": (), "confusion": (), "checks": (), "samples": (), "golden": "sha256:g",
    } | fields  # fmt: skip
    told = Evaluation(**found, verdict=verdict, tree=candidate.tree, data=candidate.data_digest)
    details: dict[str, Any] = msgspec.to_builtins(told)
    return details


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
        tree=manifest.tree, manifest=key, manifest_digest=content_digest(content), **told,
    )  # fmt: skip
    documents = {RECORD: content_digest(encode(record)), MANIFEST: content_digest(content)}
    store.write(key, content)
    store.write(record_key(record.model, record.version), encode(record))
    stated = statement(record, manifest.files, (), {}, documents=documents)
    store.write(statement_key(record.model, record.version), stated)
    return record
