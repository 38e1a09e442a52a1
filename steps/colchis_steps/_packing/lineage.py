"""What hangs on an image without being in it: version, origin and provenance, in artifacts whose subject it is.

A registry with the referrers API lists them by itself; in another, and in a layout, the tag ``sha256-<hex>`` of the
subject names an index of them, as the distribution spec has it
(https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from colchis_steps._formats.keys import manifest_key
from colchis_steps._formats.models import Candidate, Manifest, Record
from colchis_steps._formats.runs import ImageReport
from colchis_steps._formats.steps import before
from colchis_steps._models.provenance import PROVENANCE, statement
from colchis_steps._oci.image import EMPTY, INDEX, LINEAGE, Blob, artifact
from colchis_steps._oci.repository import Repository
from colchis_steps._packing.pack import write_blob
from colchis_steps._step.text import one_line
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_steps

IN_TOTO = "application/vnd.in-toto+json"
REVISION = re.compile(r"[0-9a-f]{40,64}(-dirty)?")  # of git's; what a candidate says is the training's word
NOTE = 512  # characters of an annotation
NOTHING = Blob(EMPTY, b"{}")


def annotations(manifest: Manifest, candidate: Candidate | None) -> dict[str, str]:
    """Return which version this is and where it came from; times are the version's own, so equal versions agree.

    https://specs.opencontainers.org/image-spec/annotations/
    """
    found = {
        "org.opencontainers.image.title": manifest.model,
        "org.opencontainers.image.version": str(manifest.version),
        "org.opencontainers.image.created": manifest.created_at,
        "dev.colchis.model": manifest.model,
        "dev.colchis.version": str(manifest.version),
        "dev.colchis.run": manifest.run,
        "dev.colchis.tree": manifest.tree,
        "dev.colchis.format": manifest.format,
    }
    if candidate:
        revision = candidate.code.revision
        found |= {
            "org.opencontainers.image.revision": revision if REVISION.fullmatch(revision) else "",
            "org.opencontainers.image.source": candidate.code.repository,
            "dev.colchis.data": candidate.data_digest,
            "dev.colchis.code": candidate.code.digest,
            "dev.colchis.entry": candidate.code.entry,
        }
    return {name: one_line(value, NOTE) for name, value in found.items() if value}


def attach(
    repository: Repository, subject: Blob, kind: str, content: Blob, *, notes: Mapping[str, str], tag: str | None = None
) -> int:
    """Write an artifact of the kind that refers to the subject, and list it there; return the bytes sent."""
    sent = sum(write_blob(repository, blob) for blob in dict.fromkeys((NOTHING, content)))
    made = artifact(subject, kind, content, notes)
    if not repository.put_manifest(made, tag):
        entry = {**made.descriptor(), "artifactType": kind, "annotations": dict(notes)}
        _list(repository, subject.digest.replace(":", "-"), entry)
    return sent


def _list(repository: Repository, tag: str, entry: dict[str, Any]) -> None:
    there = repository.tagged(tag)
    listed: list[dict[str, Any]] = json.loads(repository.manifest(there))["manifests"] if there else []
    if any(other["digest"] == entry["digest"] for other in listed):
        return
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*listed, entry]}
    repository.put_manifest(Blob(INDEX, json.dumps(index, sort_keys=True).encode()), tag)


def attach_lineage(
    repository: Repository, store: Objects, manifest: Manifest, candidate: Candidate | None, report: ImageReport
) -> int:
    """Write version and origin (tag ``<n>-lineage``) and, of a run's model, its provenance; return the bytes sent."""
    content = repository.manifest(report.digest)
    subject, notes = Blob(json.loads(content)["mediaType"], content), annotations(manifest, candidate)
    sent = attach(repository, subject, LINEAGE, NOTHING, notes=notes, tag=f"{manifest.version}-lineage")
    if candidate:
        provenance = Blob(IN_TOTO, _statement(store, manifest, candidate, report))
        sent += attach(repository, subject, IN_TOTO, provenance, notes={"in-toto.io/predicate-type": PROVENANCE})
    return sent


def _statement(store: Objects, manifest: Manifest, candidate: Candidate, report: ImageReport) -> bytes:
    """Write the in-toto statement of what is known before ``register``: the same for the same version."""
    results = find_steps(store, manifest.run, before("build_image"))
    record = Record(
        model=manifest.model,
        version=manifest.version,
        run=manifest.run,
        image=report.image,
        digest=report.digest,
        tree=manifest.tree,
        manifest=manifest_key(manifest.model, manifest.version),
        manifest_digest="",
        data=candidate.data,
        data_digest=candidate.data_digest,
        code=candidate.code,
        hyperparameters=candidate.hyperparameters,
        metrics={},
        verdict="",
        frameworks=candidate.frameworks,
        step_images={},
        workflow="",
        created_by="",
        created_at=manifest.created_at,
        format=manifest.format,
    )
    return statement(record, manifest.files, report.layers, results, f"{store.url}/")
