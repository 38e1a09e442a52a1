"""The versions of a model that a cluster keeps: which are awake, which rest for a way back, and which go."""

import contextlib
import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from colchis_steps._formats.documents import now
from colchis_steps._formats.keys import alias_key
from colchis_steps._formats.models import Alias
from colchis_steps._kube.cluster import Cluster, UnknownKind
from colchis_steps._manifests.objects import (
    HELD_SINCE,
    LABEL_MODEL,
    LABEL_VERSION,
    MANAGED,
    REPLICAS,
    Object,
    again,
    version_name,
)
from colchis_steps._manifests.route import Traffic, key_of, route, route_name, routed
from colchis_steps._models.aliases import stable
from colchis_steps._rollout.gateway import Way, left, move_grpc, parent_of, put_back_grpc
from colchis_steps._rollout.targets.protocol import Target
from colchis_steps._step.errors import StepError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document

log = logging.getLogger("colchis")


@dataclass(frozen=True)
class Place:
    """Where a model is served: the cluster, how it keeps versions, and the store with their documents."""

    cluster: Cluster
    target: Target
    store: Objects
    model: str

    def found(self, version: int) -> Object | None:
        """Return a version's main object. Raises InputError where it is another's."""
        return self.cluster.own(self.target.KIND, version_name(self.model, version), {LABEL_MODEL: self.model})

    def route(self) -> Object | None:
        """Return the model's HTTPRoute. Raises InputError where it is another's."""
        return self.cluster.own("HTTPRoute", route_name(self.model), {LABEL_MODEL: self.model})

    def grpc_route(self) -> Object | None:
        """Return the model's GRPCRoute, where the cluster has such. Raises InputError where it is another's."""
        try:
            return self.cluster.own("GRPCRoute", route_name(self.model), {LABEL_MODEL: self.model})
        except UnknownKind:
            return None

    def versions(self) -> dict[int, Object]:
        """Return the main objects of the model's versions that are there."""
        found = self.cluster.list(self.target.KIND, {**MANAGED, LABEL_MODEL: self.model})
        numbers = [(one["metadata"]["labels"].get(LABEL_VERSION, ""), one) for one in found]
        numbered = {int(number): one for number, one in numbers if number.isdecimal()}
        return {n: one for n, one in numbered.items() if one["metadata"]["name"] == version_name(self.model, n)}

    def replicas(self) -> int:
        """Return how many pods serve the model now; traffic must not fall on fewer."""
        alias = stable(self.store, self.model)
        found = self.found(alias.version) if alias else None
        return max(1, self.target.replicas(found)) if found else 1

    def wake(self, version: int, replicas: int | None = None) -> None:
        """Say that a version is wanted from now on, so that pruning leaves it alone until traffic has moved to it."""
        about = {HELD_SINCE: now(), REPLICAS: None}
        plain = {"metadata": {"annotations": about}}
        self._patch(version, plain if replicas is None else self.target.scaled(replicas, about))

    def awake(self, version: int) -> None:
        """Say that a version is served."""
        self._patch(version, {"metadata": {"annotations": {HELD_SINCE: None}}})

    def rest(self, needed: Collection[int], previous: int | None) -> None:
        """Of the versions that are not needed, scale the one before to zero, for a way back; remove the others."""
        others = {number: found for number, found in self.versions().items() if number not in needed}
        ages = {n: (found["metadata"].get("annotations") or {}).get(HELD_SINCE, "~") for n, found in others.items()}
        keep = previous if previous in others else max(others, key=lambda n: (ages[n], n), default=None)
        for number, found in others.items():
            if number != keep:
                self.target.remove(self.cluster, self.model, number)
            elif self.target.replicas(found):
                about = {HELD_SINCE: now(), REPLICAS: str(self.target.replicas(found))}
                self._patch(number, self.target.scaled(0, about))

    def _patch(self, version: int, change: Object) -> None:
        self.cluster.patch(self.target.KIND, version_name(self.model, version), change)


def held_replicas(target: Target, found: Object) -> int:
    """Return how many pods a version had before it was put to rest, or has."""
    return max(int((found["metadata"].get("annotations") or {}).get(REPLICAS, 1)), target.replicas(found))


@dataclass(frozen=True)
class Before:
    """What was there before a rollout of a version: its main object, the model's routes, the stable alias."""

    version: int
    object: Object | None
    route: Object | None
    stable: Alias | None
    grpc: Object | None = None

    @classmethod
    def of(cls, place: Place, version: int) -> "Before":
        """Look. Raises InputError where an object of these names is another's."""
        found, alias = place.found(version), stable(place.store, place.model)
        return cls(version, found, place.route(), alias, place.grpc_route())

    def put_back(self, place: Place) -> None:
        """Lead traffic where it went, wait until the gateway does so, and let the version's pods go.

        A route that an earlier attempt at this version left leads to stable again. A version that rested rests again.
        Where another rollout has moved the stable alias meanwhile, its route stays.
        """
        alias = stable(place.store, place.model)
        serves = alias is not None and alias.version == self.version
        moved = (alias and alias.version) != (self.stable and self.stable.version)
        if moved and serves:
            return
        now = place.route()
        self._put_route_back(place, now if moved else self.route, place.grpc_route() if moved else self.grpc, alias)
        if alias and not serves:
            left(alias, self.version, key_of(now))
        self._put_pods_back(place, alias)
        canary = find_document(place.store, alias_key(place.model, "canary"), Alias)
        if canary and canary.version == self.version:
            place.store.delete(alias_key(place.model, "canary"))

    def _put_route_back(self, place: Place, was: Object | None, grpc: Object | None, alias: Alias | None) -> None:
        """Make the route what it ``was``; but where nothing else is stable, or it led to the version, not to that."""
        cluster, model = place.cluster, place.model
        led_here = was is not None and self.version in routed(was)
        if was is None or (not alias and led_here):
            put_back_grpc(cluster, model, None)
            cluster.delete("HTTPRoute", route_name(model))
        elif alias and alias.version != self.version and led_here:
            gateway = parent_of(was, cluster.namespace)
            traffic, way = Traffic({alias.version: 100}), Way(gateway, "")
            move_grpc(cluster, place.target, model, traffic, way)
            cluster.apply(route(model, traffic, gateway, place.target.backend))
        else:
            put_back_grpc(cluster, model, grpc)
            cluster.apply(again(was))

    def _put_pods_back(self, place: Place, alias: Alias | None) -> None:
        """Make the main object what it was where somebody may need it again; else remove it."""
        rested = self.object is not None and not place.target.replicas(self.object)
        wanted = alias is not None and self.version in {alias.version, alias.previous}
        if self.object and (rested or wanted):
            place.cluster.apply(again(self.object))
        else:
            place.target.remove(place.cluster, place.model, self.version)


@contextlib.contextmanager
def restored(place: Place, before: Before) -> Iterator[None]:
    """Put things back where the version cannot be served."""
    try:
        yield
    except StepError as failed:
        try:
            before.put_back(place)
        except StepError as error:
            log.warning("what was served before may not be back (%s), because %s", error, failed)
        raise
