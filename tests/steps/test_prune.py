"""What pruning decides without a cluster; tests/cluster/test_rollout.py prunes one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from colchis_steps._formats.documents import encode
from colchis_steps._formats.models import Alias
from colchis_steps._manifests.grpc_route import grpc_route
from colchis_steps._manifests.objects import HELD_SINCE, Object
from colchis_steps._manifests.route import Traffic, route
from colchis_steps._rollout.targets.deployment import backend
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps.prune import duration, expired, parser, since, stray

NOW = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(("text", "hours"), [("0s", 0), ("90m", 1.5), ("24h", 24), ("7d", 168)])
def test_durations(text: str, hours: float) -> None:
    assert duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1.5h", "1w", "9999999d", "٣h"])
def test_what_is_no_duration_is_a_usage_error(text: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["--store=file:///s", f"--hold={text}"])


def thing(kind: str, model: str, version: str, held: str = "", name: str = "") -> Object:
    return {
        "kind": kind,
        "metadata": {
            "name": name or f"colchis-{model}-{version}",
            "labels": {"colchis.dev/model": model, "colchis.dev/version": version},
            "annotations": {HELD_SINCE: held} if held else None,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
    }


class Listed:
    """The two reads of a cluster that a decision takes, from memory."""

    def __init__(self, *found: Object) -> None:
        self.found = found

    def knows(self, kind: str) -> bool:
        return kind != "InferenceService"

    def list(self, kind: str, labels: Any) -> list[Object]:
        return [one for one in self.found if one["kind"] == kind]

    def get(self, kind: str, name: str) -> Object | None:
        return next((one for one in self.found if (one["kind"], one["metadata"]["name"]) == (kind, name)), None)


def gone(store: Objects, *found: Object, before: datetime = NOW) -> list[tuple[str, int]]:
    cluster: Any = Listed(*found)
    return [(model, version) for model, version, _ in expired(cluster, store, before)]


def test_what_rests_long_enough_goes_but_nothing_that_is_named_or_routed_to(store: Objects) -> None:
    found = [thing("Deployment", "a", str(version), "2026-01-02T00:00:00Z") for version in (1, 2, 3, 4)]
    found.append(thing("Deployment", "a", "5", "2026-01-09T00:00:00Z"))
    store.write("models/a/aliases/stable.json", encode(Alias("a", 1, "")))
    store.write("models/a/aliases/canary.json", encode(Alias("a", 2, "")))
    routes = route("a", Traffic({1: 100, 3: 0}), ("g", "g"), backend)
    assert gone(store, *found, routes, before=NOW - timedelta(days=2)) == [("a", 4)]
    assert gone(store, *found, routes, before=NOW) == [("a", 4), ("a", 5)]


def test_what_grpc_is_led_to_stays_and_a_grpc_route_alone_is_stray(store: Objects) -> None:
    found = [thing("Deployment", "a", str(version), "2026-01-02T00:00:00Z") for version in (1, 2)]
    over_grpc = grpc_route("a", Traffic({1: 100}), ("g", "g"), backend)
    assert gone(store, *found, over_grpc) == [("a", 2)]
    cluster: Any = Listed(over_grpc)
    assert list(stray(cluster)) == ["a"]
    cluster = Listed(over_grpc, route("a", Traffic({1: 100}), ("g", "g"), backend))
    assert list(stray(cluster)) == []


def test_what_a_rollout_left_that_died_goes_too_and_what_only_looks_like_ours_stays(store: Objects) -> None:
    left = thing("Service", "a", "6")
    others = [thing("Service", "a", "7", name="mine"), thing("Deployment", "a", "latest"), thing("Service", "", "1")]
    assert gone(store, left, *others) == [("a", 6)]
    assert gone(store, left, before=datetime(2025, 1, 1, tzinfo=UTC)) == []


def test_a_model_whose_aliases_cannot_be_read_keeps_all_and_the_others_are_pruned(
    store: Objects, caplog: pytest.LogCaptureFixture
) -> None:
    store.write("models/a/aliases/stable.json", b'{"kind": "colchis.dev/alias/v2"}')
    found = [thing("Deployment", model, "1", "2026-01-02T00:00:00Z") for model in ("a", "b")]
    assert gone(store, *found) == [("b", 1)]
    assert "all versions of a stay" in caplog.text
    assert "models/a/aliases/stable.json" in caplog.text


def test_an_annotation_that_is_no_time_is_told() -> None:
    with pytest.raises(InputError, match=r"annotation colchis\.dev/held-since of Deployment colchis-a-1 is 'soon'"):
        since(thing("Deployment", "a", "1", "soon"))
