"""The ModelVersion object, which mirrors a record."""

import math

from colchis_steps._formats.models import Record
from colchis_steps._manifests.objects import KINDS, LABEL_MODEL, LABEL_VERSION, MANAGED, Object

KIND = "ModelVersion"


def model_version(record: Record, place: str) -> Object:
    """Return the object of a record that lies at the URL ``place``; the API takes finite numbers alone."""
    labels = {LABEL_MODEL: record.model, LABEL_VERSION: str(record.version)}
    return {
        "apiVersion": KINDS[KIND][0],
        "kind": KIND,
        "metadata": {"name": f"{record.model}-{record.version}", "labels": MANAGED | labels},
        "spec": {
            "model": record.model,
            "version": record.version,
            "image": record.image,
            "digest": record.digest,
            "tree": record.tree,
            "data": record.data,
            "dataDigest": record.data_digest,
            "codeDigest": record.code.digest,
            "codeRevision": record.code.revision,
            "metrics": {name: value for name, value in record.metrics.items() if math.isfinite(value)},
            "verdict": record.verdict,
            "run": record.run,
            "workflow": record.workflow,
            "createdBy": record.created_by,
            "createdAt": record.created_at,
            "record": place,
        },
    }
