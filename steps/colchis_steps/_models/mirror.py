"""The optional mirror of a record in the cluster, so that ``kubectl get modelversions`` lists models.

Written from a pod only: a run on a laptop has a kubeconfig, but its models are not the cluster's. The CRD is
workflows/manifests/crd/modelversions.yaml; the record in the store is what counts.
"""

import logging

from colchis_steps._formats.models import Record
from colchis_steps._kube.cluster import Cluster
from colchis_steps._kube.connection import NAMESPACE_FILE
from colchis_steps._manifests.model_version import model_version
from colchis_steps._step.errors import InputError

log = logging.getLogger("colchis")


def mirror(record: Record, place: str) -> None:
    """Write the object, where this is a pod and the cluster has the CRD; a refusal is a warning, not a failure.

    Raises:
        TransientError: the API server is away or busy.
    """
    if not NAMESPACE_FILE.exists():
        return
    try:
        Cluster(role="colchis-publish").apply(model_version(record, place))
    except InputError as error:
        log.warning("%s/%d is on record, but not among the modelversions: %s", record.model, record.version, error)
