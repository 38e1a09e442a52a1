"""The HTTPRoute of a model as YAML, and which version a gateway would choose by it for a request."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from colchis_steps._manifests.grpc_route import grpc_route
from colchis_steps._manifests.route import HeaderRoute, Traffic, route, routed
from colchis_steps._rollout.targets import deployment, kserve

GOLDEN = Path(__file__).parents[1] / "golden"
GATEWAY = ("traefik", "models")
HEADERS = (HeaderRoute("style", "transfer", 3), HeaderRoute("style", "plain", 1))
CANARY = Traffic({1: 90, 2: 10}, labels={"stable": 1, "canary": 2}, stable=1, key="0123456789abcdef")
WHOLE = Traffic({1: 60, 2: 30, 3: 10}, HEADERS, sticky="x-user", mirror=2, testers=True)


def made(name: str) -> dict[str, Any]:
    """Return the route, made anew: what is made while tests are collected shows no mutant."""
    if name == "grpc":
        return grpc_route("digits", WHOLE, GATEWAY, deployment.backend)
    if name == "grpc-canary":
        return grpc_route("digits", CANARY, GATEWAY, deployment.backend)
    if name == "canary":
        return route("digits", CANARY, GATEWAY, deployment.backend)
    return route("digits", WHOLE, GATEWAY, kserve.backend)


@pytest.mark.parametrize("name", ["canary", "grpc", "grpc-canary", "whole"])
def test_the_route_is_the_golden_one(name: str) -> None:
    assert made(name) == yaml.safe_load((GOLDEN / f"rollout-route-{name}.yaml").read_text())


def chosen(found: dict[str, Any], path: str, headers: dict[str, str]) -> dict[str, int]:
    """Choose backends as the Gateway API has it: exact path, longest prefix, most headers, first rule."""
    candidates = []
    for order, rule in enumerate(found["spec"]["rules"]):
        for match in rule["matches"]:
            kind, value = match["path"]["type"], match["path"]["value"]
            below = path == value or path.startswith(f"{value}/")
            asked = match.get("headers", [])
            if not (path == value if kind == "Exact" else below):
                continue
            if all(
                one["name"] in headers
                and (
                    headers[one["name"]] == one["value"]
                    if one["type"] == "Exact"
                    else re.search(one["value"], headers[one["name"]])
                )
                for one in asked
            ):
                candidates.append(((kind != "Exact", -len(value), -len(asked), order), rule))
    _, rule = min(candidates, key=lambda candidate: candidate[0])
    return {ref["name"]: ref.get("weight", 1) for ref in rule["backendRefs"]}


@pytest.mark.parametrize("path", ["/v1/models/digits:predict", "/v2/models/digits/infer", "/board/digits"])
@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({"style": "transfer"}, 3),
        ({"style": "plain"}, 1),
        ({"style": "plain", "x-user": "00"}, 1),
        ({"x-user": "user-00"}, 3),  # the newest has the first buckets
        ({"x-user": "user-19"}, 3),
        ({"x-user": "user-1a"}, 2),
        ({"x-user": "user-65"}, 2),
        ({"x-user": "user-66"}, 1),
        ({"x-user": "user-ff"}, 1),
        ({"colchis-version": "2"}, 2),
        ({"colchis-version": "3", "style": "plain"}, 3),
    ],
)
def test_each_header_leads_to_its_version(path: str, headers: dict[str, str], version: int) -> None:
    assert chosen(made("whole"), path, headers) == {f"colchis-digits-{version}-predictor": 1}


@pytest.mark.parametrize("headers", [{}, {"style": "other"}, {"x-user": "nobody"}, {"colchis-version": "9"}])
def test_all_others_are_shared_out_by_weight(headers: dict[str, str]) -> None:
    expected = {f"colchis-digits-{version}-predictor": weight for version, weight in WHOLE.weights.items()}
    assert chosen(made("whole"), "/v1/models/digits:predict", headers) == expected


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("below", ["v1/models/digits/versions/{}:predict", "v2/models/digits/versions/{}/infer"])
def test_a_version_s_own_path_leads_to_it_whatever_the_headers_say(version: int, below: str) -> None:
    for headers in ({}, {"style": "transfer"}, {"x-user": "00"}):
        found = chosen(made("whole"), f"/{below.format(version)}", headers)
        assert found == {f"colchis-digits-{version}-predictor": 1}


@pytest.mark.parametrize(
    "path",
    [
        *(
            f"/{below}"
            for n in (1, 2, 9)
            for below in (f"v1/models/digits/versions/{n}:predict", f"v1/models/digits/versions/{n}")
        ),
        *(f"/v2/models/digits/versions/{n}/infer" for n in (1, 2, 9)),
        *(f"/v1/models/digits/labels/{label}:predict" for label in ("stable", "canary", "x")),
        *(f"/v2/models/digits/labels/{label}/infer" for label in ("stable", "canary", "x")),
    ],
)
def test_who_names_a_version_or_a_label_is_led_to_stable_and_with_the_key_to_the_version(path: str) -> None:
    for headers in ({}, {"colchis-version": "2"}, {"colchis-key": "guessed"}):
        assert chosen(made("canary"), path, headers) == {"colchis-digits-1": 1}
    key = {"colchis-key": "0123456789abcdef"}
    version = 2 if "/versions/2" in path else 1
    assert chosen(made("canary"), path, key) == {f"colchis-digits-{version}": 1}
    assert routed(made("canary")) == {1: 90, 2: 10}


@pytest.mark.parametrize("path", ["/v1/models/digits:predict", "/v2/models/digits/infer", "/board/digits"])
def test_the_header_of_testers_leads_to_stable_alone_and_with_the_key_to_any(path: str) -> None:
    shared = {"colchis-digits-1": 90, "colchis-digits-2": 10}
    asked = [({}, shared), ({"colchis-version": "1"}, {"colchis-digits-1": 1}), ({"colchis-version": "2"}, shared)]
    asked.append(({"colchis-version": "2", "colchis-key": "0123456789abcdef"}, {"colchis-digits-2": 1}))
    for headers, expected in asked:
        assert chosen(made("canary"), path, headers) == expected


def test_a_canary_without_traffic_is_reached_with_the_key_alone() -> None:
    found = route("digits", Traffic({1: 100, 2: 0}, stable=1, key="k"), GATEWAY, deployment.backend)
    for path in (
        "/v1/models/digits:predict",
        "/v1/models/digits/versions/2:predict",
        "/v2/models/digits/labels/canary",
    ):
        for headers in ({}, {"colchis-version": "2"}, {"colchis-key": "x", "colchis-version": "2"}):
            reached = {name for name, weight in chosen(found, path, headers).items() if weight}
            assert reached == {"colchis-digits-1"}
    own = chosen(found, "/v1/models/digits/versions/2:predict", {"colchis-key": "k"})
    assert own == {"colchis-digits-2": 1}


def test_testers_may_name_all() -> None:
    open_to_all = Traffic({1: 90, 2: 10}, labels={"stable": 1, "canary": 2}, stable=1, testers=True, key="k")
    found = route("digits", open_to_all, GATEWAY, deployment.backend)
    for path in ("/v1/models/digits/versions/2:predict", "/v2/models/digits/labels/canary/infer"):
        assert chosen(found, path, {}) == {"colchis-digits-2": 1}


def led(found: dict[str, Any], metadata: dict[str, str]) -> dict[str, int]:
    """Choose backends of a GRPCRoute as the Gateway API has it: most headers, first rule."""
    candidates = []
    for order, rule in enumerate(found["spec"]["rules"]):
        for match in rule["matches"]:
            exact = [
                one["name"] in metadata and re.fullmatch(one["value"], metadata[one["name"]])
                for one in match["headers"]
            ]
            if all(exact):
                candidates.append((-len(match["headers"]), order))
    if not candidates:
        return {}
    rule = found["spec"]["rules"][min(candidates)[1]]
    return {ref["name"]: ref.get("weight", 1) for ref in rule["backendRefs"]}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, {}),
        ({"colchis-model": "other"}, {}),
        ({"colchis-model": "digits"}, {"colchis-digits-1": 90, "colchis-digits-2": 10}),
        ({"colchis-model": "digits", "colchis-version": "2"}, {"colchis-digits-1": 90, "colchis-digits-2": 10}),
        ({"colchis-model": "digits", "colchis-version": "1"}, {"colchis-digits-1": 1}),
        (
            {"colchis-model": "digits", "colchis-version": "2", "colchis-key": "0123456789abcdef"},
            {"colchis-digits-2": 1},
        ),
    ],
)
def test_grpc_is_led_by_its_metadata(metadata: dict[str, str], expected: dict[str, int]) -> None:
    assert led(made("grpc-canary"), metadata) == expected


@pytest.mark.parametrize(
    ("metadata", "version"), [({"style": "transfer"}, 3), ({"x-user": "00"}, 3), ({"colchis-version": "2"}, 2)]
)
def test_grpc_has_headers_and_sticky_shares_too(metadata: dict[str, str], version: int) -> None:
    assert led(made("grpc"), {"colchis-model": "digits", **metadata}) == {f"colchis-digits-{version}": 1}
