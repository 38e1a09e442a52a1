"""What a rollout that ends before its time leaves: a cluster kept in memory, the store in a directory."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import cast

import pytest

from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import alias_key
from colchis_steps._formats.models import Alias
from colchis_steps._kube.cluster import Cluster, UnknownKind, is_ours
from colchis_steps._manifests.deployment import Deployed, deployment, service
from colchis_steps._manifests.grpc_route import grpc_route
from colchis_steps._manifests.objects import Object
from colchis_steps._manifests.route import Traffic, route, routed
from colchis_steps._rollout import gateway
from colchis_steps._rollout.gateway import Way, move_grpc
from colchis_steps._rollout.targets.table import TARGETS
from colchis_steps._rollout.versions import Before, Place
from colchis_steps._step.errors import InputError
from colchis_steps._store.opening import open_store

TARGET = TARGETS["deployment"]
GATEWAY = ("traefik", "models")
ROUTE = ("HTTPRoute", "colchis-m")


class Kept:
    """Objects by kind and name, as ``Cluster`` keeps them."""

    namespace = "ml"

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}

    def apply(self, manifest: Object) -> Object:
        self.objects[manifest["kind"], manifest["metadata"]["name"]] = deepcopy(manifest)
        return manifest

    def get(self, kind: str, name: str) -> Object | None:
        return deepcopy(self.objects.get((kind, name)))

    def own(self, kind: str, name: str, labels: Mapping[str, str]) -> Object | None:
        return self.get(kind, name)

    def delete(self, kind: str, name: str) -> None:
        self.objects.pop((kind, name), None)

    def discard(self, kind: str, name: str, labels: Mapping[str, str]) -> None:
        if (found := self.get(kind, name)) and is_ours(found, labels):
            self.delete(kind, name)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def place(kept: Kept, tmp_path: Path) -> Place:
    return Place(cast("Cluster", kept), TARGET, open_store(tmp_path.as_uri()), "m")


def alias(place: Place, name: str, version: int, previous: int | None = None) -> None:
    found = Alias("m", version, "2026-01-01T00:00:00Z", previous, "r", "image", "")
    place.store.write(alias_key("m", name), encode(found))


def serve(kept: Kept, version: int, replicas: int = 1) -> None:
    deployed = Deployed("m", version, "r", "image", "serve", replicas=replicas)
    kept.apply(deployment(deployed, "{}"))
    kept.apply(service(deployed))


def lead(kept: Kept, weights: dict[int, int]) -> None:
    kept.apply(route("m", Traffic(weights), GATEWAY, TARGET.backend))


def led(kept: Kept) -> dict[int, int]:
    return routed(kept.get(*ROUTE))


def versions(kept: Kept) -> dict[int, int]:
    found = {name: one for (kind, name), one in kept.objects.items() if kind == "Deployment"}
    return {int(name.rpartition("-")[2]): one["spec"]["replicas"] for name, one in sorted(found.items())}


def test_a_first_model_that_fails_leaves_nothing(kept: Kept, place: Place) -> None:
    before = Before.of(place, 1)
    serve(kept, 1)
    lead(kept, {1: 100})
    alias(place, "canary", 1)
    before.put_back(place)
    assert kept.objects == {}
    assert list(place.store.keys("models/")) == []


def test_the_route_is_led_back_and_the_new_pods_go(kept: Kept, place: Place) -> None:
    serve(kept, 1)
    lead(kept, {1: 100})
    alias(place, "stable", 1)
    before = Before.of(place, 2)
    serve(kept, 2)
    lead(kept, {1: 70, 2: 30})
    alias(place, "canary", 2)
    before.put_back(place)
    assert (led(kept), versions(kept)) == ({1: 100}, {1: 1})
    assert ("Service", "colchis-m-2") not in kept.objects
    assert [key.rpartition("/")[2] for key in place.store.keys("models/")] == ["stable.json"]


def test_a_route_that_an_earlier_attempt_left_leads_to_stable_again(kept: Kept, place: Place) -> None:
    serve(kept, 1)
    serve(kept, 2)
    lead(kept, {1: 90, 2: 10})  # of an attempt at version 2 that was killed
    alias(place, "stable", 1)
    before = Before.of(place, 2)
    lead(kept, {1: 70, 2: 30})
    before.put_back(place)
    assert led(kept) == {1: 100}
    assert kept.objects[ROUTE]["spec"]["parentRefs"] == [{"namespace": "traefik", "name": "models"}]
    assert versions(kept) == {1: 1}


@pytest.mark.parametrize("previous", [2, None])
def test_a_version_that_rested_rests_again(kept: Kept, place: Place, previous: int | None) -> None:
    serve(kept, 3)
    serve(kept, 2, replicas=0)
    lead(kept, {3: 100})
    alias(place, "stable", 3, previous)
    before = Before.of(place, 2)
    serve(kept, 2, replicas=2)
    lead(kept, {3: 100, 2: 0})
    before.put_back(place)
    assert (led(kept), versions(kept)) == ({3: 100}, {2: 0, 3: 1})


def test_the_version_that_serves_already_is_not_removed(kept: Kept, place: Place) -> None:
    serve(kept, 1, replicas=3)
    lead(kept, {1: 100})
    alias(place, "stable", 1)
    before = Before.of(place, 1)
    serve(kept, 1, replicas=5)
    before.put_back(place)
    assert (led(kept), versions(kept)) == ({1: 100}, {1: 3})


def test_what_another_rollout_promoted_meanwhile_stays(kept: Kept, place: Place) -> None:
    serve(kept, 1)
    lead(kept, {1: 100})
    alias(place, "stable", 1)
    before = Before.of(place, 2)
    serve(kept, 2)
    serve(kept, 3)
    lead(kept, {3: 100})
    alias(place, "stable", 3, 1)
    before.put_back(place)
    assert (led(kept), versions(kept)) == ({3: 100}, {1: 1, 3: 1})


def test_the_same_version_promoted_by_another_rollout_meanwhile_stays(kept: Kept, place: Place) -> None:
    serve(kept, 1)
    lead(kept, {1: 100})
    alias(place, "stable", 1)
    before = Before.of(place, 2)
    serve(kept, 2)
    lead(kept, {2: 100})
    alias(place, "stable", 2, 1)
    before.put_back(place)
    assert (led(kept), versions(kept)) == ({2: 100}, {1: 1, 2: 1})


def test_grpc_is_led_back_alike_and_goes_with_a_first_model(kept: Kept, place: Place) -> None:
    def over_grpc(weights: dict[int, int]) -> None:
        kept.apply(grpc_route("m", Traffic(weights, stable=1), GATEWAY, TARGET.backend))

    first = Before.of(place, 1)
    serve(kept, 1)
    lead(kept, {1: 100})
    over_grpc({1: 100})
    first.put_back(place)
    assert kept.objects == {}

    serve(kept, 1)
    lead(kept, {1: 100})
    over_grpc({1: 100})
    alias(place, "stable", 1)
    before = Before.of(place, 2)
    serve(kept, 2)
    over_grpc({1: 90, 2: 10})
    lead(kept, {1: 90, 2: 10})
    before.put_back(place)
    found = kept.get("GRPCRoute", "colchis-m")
    assert (set(routed(found)), led(kept)) == ({1}, {1: 100})


def test_grpc_has_a_route_where_it_has_a_gateway_or_has_one_already(
    kept: Kept, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://models.example"
    monkeypatch.delenv("COLCHIS_GRPC_GATEWAY", raising=False)
    assert move_grpc(place.cluster, TARGET, "m", Traffic({1: 100}), Way.of("traefik/models", url)) is None
    assert kept.objects == {}
    monkeypatch.setenv("COLCHIS_GRPC_GATEWAY", "traefik/grpc")
    way = Way.of("traefik/models", url)
    assert move_grpc(place.cluster, TARGET, "m", Traffic({1: 100}), way) == ("traefik", "grpc")
    found = kept.objects["GRPCRoute", "colchis-m"]
    assert found["spec"]["parentRefs"] == [{"namespace": "traefik", "name": "grpc"}]
    monkeypatch.delenv("COLCHIS_GRPC_GATEWAY")
    assert move_grpc(place.cluster, TARGET, "m", Traffic({2: 100}), Way(GATEWAY, url)) == ("traefik", "grpc")
    assert set(routed(kept.objects["GRPCRoute", "colchis-m"])) == {2}
    monkeypatch.setattr(gateway, "ACCEPTED_GRPC", 0.1)
    away = Way(GATEWAY, url, ("traefik", "away"))  # of which no controller says that it takes the route
    assert move_grpc(place.cluster, TARGET, "m", Traffic({3: 100}), away) == ("traefik", "grpc")
    found = kept.objects["GRPCRoute", "colchis-m"]
    assert (found["spec"]["parentRefs"], set(routed(found))) == ([{"namespace": "traefik", "name": "grpc"}], {3})
    for wrong in ("traefik/models", "grpc", "a/b/c", "A/b"):
        monkeypatch.setenv("COLCHIS_GRPC_GATEWAY", wrong)
        with pytest.raises(InputError, match="give the namespace/name of a Gateway other than that for HTTP"):
            Way.of("traefik/models", url)


class WithoutGRPC(Kept):
    """A cluster of a Gateway API without GRPCRoutes."""

    def own(self, kind: str, name: str, labels: Mapping[str, str]) -> Object | None:
        if kind == "GRPCRoute":
            raise UnknownKind("the cluster has no GRPCRoute of gateway.networking.k8s.io/v1")
        return super().own(kind, name, labels)

    def apply(self, manifest: Object) -> Object:
        self.own(manifest["kind"], "", {})
        return super().apply(manifest)

    def discard(self, kind: str, name: str, labels: Mapping[str, str]) -> None:
        self.own(kind, name, labels)
        super().discard(kind, name, labels)


def test_a_cluster_without_grpc_routes_has_none_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = WithoutGRPC()
    place = Place(cast("Cluster", kept), TARGET, open_store(tmp_path.as_uri()), "m")
    before = Before.of(place, 1)
    with caplog.at_level("INFO"):
        move_grpc(place.cluster, TARGET, "m", Traffic({1: 100}), Way(GATEWAY, "", ("traefik", "grpc")))
    assert "the cluster has no GRPCRoutes, so gRPC reaches m by its versions' Services alone" in caplog.text
    serve(kept, 1)
    lead(kept, {1: 100})
    before.put_back(place)
    assert kept.objects == {}
