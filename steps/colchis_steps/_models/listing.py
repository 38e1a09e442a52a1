"""The digests that may serve, on a cluster that holds servers to them: a ConfigMap that only ``register`` may change.

It is there where the component ``served-digests`` is installed; elsewhere nothing is written. That the API server then
refuses a rollout is how somebody learns of a digest that could not be written.
"""

import logging

from colchis_steps._formats.models import Record
from colchis_steps._kube.cluster import Cluster
from colchis_steps._kube.connection import NAMESPACE_FILE
from colchis_steps._step.errors import InputError

NAME = "colchis-served"
log = logging.getLogger("colchis")


def list_digest(record: Record) -> None:
    """Write the digest of a version's image, where this is a pod and the cluster has the list.

    Raises:
        TransientError: the API server is away or busy.
    """
    if not NAMESPACE_FILE.exists():
        return
    cluster = Cluster(role=NAME)
    try:
        if cluster.get("ConfigMap", NAME) is not None:
            cluster.patch("ConfigMap", NAME, digest_entry(record))
            log.info("%s is among the digests that may serve", record.digest)
    except InputError as error:
        log.debug("no list of digests is kept here: %s", error)


def digest_entry(record: Record) -> dict[str, dict[str, str]]:
    """Return the change to the ConfigMap: ``sha256-<hex>: model/version``, as its keys hold no colon."""
    return {"data": {record.digest.replace(":", "-"): f"{record.model}/{record.version}"}}
