"""A version's in-toto statement with SLSA provenance: who made which bytes from what.

Statement: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
Predicate: https://slsa.dev/spec/v1.0/provenance
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from colchis_steps._formats.documents import canonical_digest, encode
from colchis_steps._formats.images import Layer
from colchis_steps._formats.keys import result_key, version_prefix
from colchis_steps._formats.models import File, Record
from colchis_steps._formats.numbers import written
from colchis_steps._formats.runs import StepResult
from colchis_steps._oci.image import TAR, image
from colchis_steps._step.home import HERE

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://colchis.dev/pipeline/v1"


def _digest(text: str) -> dict[str, str]:
    algorithm, _, value = text.partition(":")
    return {algorithm: value}


def statement(
    record: Record,
    files: Sequence[File],
    layers: Sequence[Layer],
    results: Mapping[str, StepResult],
    store: str = "",
    *,
    documents: Mapping[str, str] | None = None,
) -> bytes:
    """Write the statement as JSON: the same for the same record and results.

    Subjects are the image, its manifest for each architecture (where ``layers`` are the direct builder's), the tree and
    each file; a node may name a running image by any of them. Hyper-parameters stand as they were given, with the
    digest of their canonical JSON. URIs are relative to the store that the statement lies in; one that lies elsewhere
    takes a record with absolute ones, and the URL of the ``store`` with a ``/`` at its end. ``documents`` are digests
    of what lies beside the statement, by name: who alters one of them has to alter the statement, too.
    """
    from importlib.metadata import version

    place = version_prefix(record.model, record.version)
    subjects = [
        {"name": record.image, "digest": _digest(record.digest)},
        {"name": place, "digest": _digest(record.tree)},
    ]
    if layers and all(layer.media_type == TAR or layer.diff_id for layer in layers):
        repository = record.image.rpartition("@")[0]
        subjects[1:1] = [
            {"name": f"{repository}@{manifest.digest}", "digest": _digest(manifest.digest)}
            for manifest in image(layers, kind=record.format).manifests
        ]
    subjects += [{"name": file.path, "digest": {"sha256": file.sha256}} for file in files]
    dependencies: list[dict[str, Any]] = []
    if record.data_digest:
        dependencies.append({"name": "data", "uri": record.data, "digest": _digest(record.data_digest)})
    if record.code.digest or record.code.revision:
        digests = _digest(record.code.digest) if record.code.digest else {}
        digests |= {"gitCommit": record.code.revision} if record.code.revision else {}
        where = {"annotations": {"repository": record.code.repository}} if record.code.repository else {}
        dependencies.append({"name": "code", "uri": record.code.uri, "digest": digests, **where})
    if record.origin:
        name = f"{record.origin.uri}/{record.origin.path}".rstrip("/")
        dependencies.append({"name": "model", "uri": name, "digest": _digest(record.origin.digest)})
    images = {step: name for step, name in sorted(record.step_images.items()) if name != HERE}
    for step, name in images.items():
        pinned: dict[str, Any] = {"digest": _digest(name.rpartition("@")[2])} if "@" in name else {}
        dependencies.append({"name": f"image of {step}", "uri": name, **pinned})
    times = sorted(result.started_at for result in results.values())
    train: dict[str, Any] = results["train"].details if "train" in results else {}
    internal: dict[str, Any] = {name: train[name] for name in ("backend", "workers", "global_batch") if name in train}
    if here := sorted(record.step_images.keys() - images.keys()):
        internal["imagesNotUsed"] = dict.fromkeys(here, HERE)
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "model": record.model,
                "data": record.data,
                "entry": record.code.entry,
                "hyperparameters": record.hyperparameters,
                "hyperparametersDigest": canonical_digest(record.hyperparameters),
                "workflow": record.workflow,
            },
            "internalParameters": {"frameworks": record.frameworks, **internal},
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": BUILD_TYPE, "version": {"colchis": version("colchis")}},
            "metadata": {
                "invocationId": record.run,
                "startedOn": times[0] if times else record.created_at,
                "finishedOn": record.created_at,
            },
            "byproducts": [
                {"name": f"{step}.json", "uri": f"{store}{result_key(record.run, step)}", "digest": _sha(result)}
                for step, result in sorted(results.items())
            ]
            + [
                {"name": name, "uri": f"{store}{place}/{name}", "digest": _digest(digest)}
                for name, digest in sorted((documents or {}).items())
            ],
        },
    }
    document = {"_type": STATEMENT, "subject": subjects, "predicateType": PROVENANCE, "predicate": predicate}
    return written(document)


def _sha(result: StepResult) -> dict[str, str]:
    return {"sha256": hashlib.sha256(encode(result)).hexdigest()}
