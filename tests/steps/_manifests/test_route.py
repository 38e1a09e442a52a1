"""The HTTPRoute of a model, as values: weights, headers, sticky shares and copies."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._manifests.grpc_route import grpc_route
from colchis_steps._manifests.route import (
    HeaderRoute,
    Traffic,
    key_of,
    matches,
    mirror_probe,
    route,
    routed,
    rule_count,
)
from colchis_steps._manifests.sticky import BUCKETS, bucket, patterns, shares
from colchis_steps._rollout.targets.deployment import backend

GATEWAY = ("traefik", "models")


def made(traffic: Traffic) -> dict[str, Any]:
    return route("digits", traffic, GATEWAY, backend)


def test_a_route_splits_traffic_by_weight_and_leads_each_version_to_itself() -> None:
    found = made(Traffic({1: 0, 2: 90, 3: 10}, testers=True))
    rules = found["spec"]["rules"]
    assert found["spec"]["parentRefs"] == [{"namespace": "traefik", "name": "models"}]
    assert [rule["backendRefs"][0]["name"] for rule in rules[:3]] == [f"colchis-digits-{n}" for n in (1, 2, 3)]
    assert rules[1]["matches"][:3] == matches("models/digits/versions/2")
    assert rules[1]["matches"][3:] == [
        {**match, "headers": [{"type": "Exact", "name": "colchis-version", "value": "2"}]}
        for match in rules[3]["matches"]
    ]
    assert [(ref["name"], ref["weight"]) for ref in rules[3]["backendRefs"]] == [
        ("colchis-digits-1", 0),
        ("colchis-digits-2", 90),
        ("colchis-digits-3", 10),
    ]
    paths = [match["path"]["value"] for match in rules[3]["matches"]]
    assert paths == ["/v1/models/digits:predict", "/v1/models/digits", "/v2/models/digits", "/board/digits"]
    assert routed(found) == {1: 0, 2: 90, 3: 10}
    assert routed(None) == {}


def test_headers_come_before_sticky_shares_and_those_before_the_weights() -> None:
    headers = (HeaderRoute("style", "transfer", 2), HeaderRoute("style", "plain", 1))
    found = made(Traffic({1: 50, 2: 50}, headers, sticky="x-user", mirror=2, testers=True))
    rules = found["spec"]["rules"]
    named = [rule["matches"][-1].get("headers", [{}])[0].get("name") for rule in rules]
    assert named == ["colchis-version", "colchis-version", "style", "style", "x-user", "x-user", None]
    assert rules[2]["backendRefs"] == [{"name": "colchis-digits-2", "port": 8501}]
    assert rules[4]["matches"][0]["headers"][0]["type"] == "RegularExpression"
    assert rules[-1]["filters"] == [
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "colchis-digits-2", "port": 8501}}}
    ]
    assert not [rule for rule in rules[:-1] if "filters" in rule]
    assert routed(found) == {1: 50, 2: 50}
    assert len(rules) <= 16  # what the Gateway API takes, and 64 matches in a rule
    assert max(len(rule["matches"]) for rule in rules) <= 8


def test_whether_a_gateway_mirrors_is_tried_where_nobody_asks() -> None:
    (rule,) = mirror_probe("digits", 2, GATEWAY, backend)["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/colchis/mirror/digits"}}]
    assert rule["filters"] == made(Traffic({1: 50, 2: 50}, mirror=2))["spec"]["rules"][-1]["filters"]


@pytest.mark.parametrize("weights", [{}, {1: 99}, {1: 60, 2: 60}])
def test_weights_that_do_not_add_up_are_refused(weights: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="do not add up to 100"):
        made(Traffic(weights))


def test_a_header_leads_only_to_a_version_that_is_served() -> None:
    with pytest.raises(ValueError, match="version 7 is not among"):
        made(Traffic({1: 100}, (HeaderRoute("a", "b", 7),)))
    with pytest.raises(ValueError, match="version 8 is not among"):
        made(Traffic({1: 100}, labels={"canary": 8}))


def test_a_version_is_known_by_the_end_of_its_service_s_name() -> None:
    refs = [{"name": name, "weight": 50} for name in ("colchis-a-2-12", "colchis-a-2-13-predictor", "mine")]
    assert routed({"spec": {"rules": [{"backendRefs": refs}]}}) == {12: 50, 13: 50}


@st.composite
def weights(draw: st.DrawFn) -> dict[int, int]:
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=0, max_size=4)))
    parts = [b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)]
    versions = draw(st.lists(st.integers(1, 99), min_size=len(parts), max_size=len(parts), unique=True))
    return dict(zip(versions, parts, strict=True))


@given(weights(), st.integers(0, 3), st.sampled_from(["", "x-user"]), st.booleans(), st.sampled_from(["", "k"]))
def test_rules_are_counted_as_they_are_made(
    given: dict[int, int], headers: int, sticky: str, testers: bool, key: str
) -> None:
    named = tuple(HeaderRoute("style", f"{number}", min(given)) for number in range(headers))
    canary = {"stable": min(given), "canary": max(given)} if key else {}
    traffic = Traffic(given, named, sticky, None, canary, min(given), testers, key)
    assert rule_count(traffic) == len(made(traffic)["spec"]["rules"])


@given(weights(), st.booleans())
def test_each_rule_names_what_a_request_may_name_and_the_key_else(given: dict[int, int], testers: bool) -> None:
    traffic = Traffic(given, stable=min(given), testers=testers, key="secret")
    kept = traffic.named
    assert kept.keys() == given.keys()
    assert {version for version, key in kept.items() if not key} == (set(given) if testers else {min(given)})
    assert key_of(made(traffic)) == ("secret" if "secret" in kept.values() else "")
    assert key_of(None) == ""
    found = grpc_route("digits", traffic, GATEWAY, backend)
    assert routed(found).keys() == given.keys()
    assert {ref["port"] for rule in found["spec"]["rules"] for ref in rule["backendRefs"]} == {8500}
    for rule in found["spec"]["rules"]:
        (match,) = rule["matches"]
        assert match["headers"][0] == {"type": "Exact", "name": "colchis-model", "value": "digits"}
    last = found["spec"]["rules"][-1]["backendRefs"]
    assert [(ref["name"], ref["weight"]) for ref in last] == [
        (f"colchis-digits-{version}", given[version]) for version in sorted(given)
    ]


@given(weights())
def test_each_bucket_belongs_to_exactly_one_version(given: dict[int, int]) -> None:
    found = {version: re.compile(pattern) for version, pattern in patterns(given).items()}
    for number in range(BUCKETS):
        for text in (f"{number:02x}", f"user-7-{number:02X}"):
            owners = [version for version, pattern in found.items() if pattern.search(text)]
            assert owners == [v for v, part in shares(given).items() if number in part]
            assert len(owners) == 1
    assert not [text for text in ("", "a", "user", "xyz-") for pattern in found.values() if pattern.search(text)]
    assert all(abs(len(part) - given[v] * BUCKETS / 100) <= 1 for v, part in shares(given).items())


@given(st.integers(0, 100), st.integers(0, 100))
def test_nobody_is_taken_from_the_newest_version_while_its_weight_grows(one: int, other: int) -> None:
    less, more = sorted((one, other))
    before, after = ({1: 100 - weight, 2: weight} for weight in (less, more))
    assert set(shares(before)[2]) <= set(shares(after)[2])


def test_a_value_s_bucket_is_its_last_two_hex_digits() -> None:
    assert [bucket(text) for text in ("0f1e", "A-fF", "g1", "7", "")] == [0x1E, 0xFF, None, None, None]
