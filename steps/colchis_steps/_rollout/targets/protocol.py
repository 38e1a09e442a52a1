"""What a target is to a rollout on a cluster: a module with these functions, such as ``deployment``.

A target knows how a version's pods are described; who asks them, judges them and moves traffic to them does not care.
Each version has one main object of the kind ``KIND`` with Colchis's labels, on which annotations say that it rests.
"""

from typing import Protocol

from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests.deployment import Deployed
from colchis_steps._manifests.objects import Object


class Target(Protocol):
    """How a cluster keeps the versions of a model; every function raises as ``Cluster`` does."""

    NAME: str  # as --target has it
    KIND: str  # of a version's main object, whose name is ``version_name(model, version)``

    def backend(self, model: str, version: int) -> tuple[str, int]:
        """Return the name and the port of the Service to which a version's requests go."""

    def apply(self, cluster: Cluster, deployed: Deployed, config: str) -> None:
        """Describe the version's pods; ``config`` is the embedded server's configuration document."""

    def missing(self, cluster: Cluster, model: str, version: int) -> str:
        """Return what is still missing until all pods answer; "" when they do.

        Raises:
            InputError: waiting changes nothing: no such image, a model that does not load, pods that end.
            TransientError: the version was removed meanwhile.
        """

    def replicas(self, found: Object) -> int:
        """Return how many pods the main object asks for; 0 is at rest."""

    def scaled(self, replicas: int, about: Object) -> Object:
        """Return the change of the main object that asks for so many pods and annotates it; 0 puts it to rest."""

    def addresses(self, cluster: Cluster, model: str, version: int) -> list[str]:
        """Return ``host:port`` of each pod that runs, where its metrics are."""

    def remove(self, cluster: Cluster, model: str, version: int) -> None:
        """Remove all that ``apply`` made (``Cluster.discard``); what is not there, or another's, is not an error."""
