"""The HTTPRoute of a model as YAML, and which version a gateway would choose by it for a request."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from colchis_steps._manifests.route import HeaderRoute, Traffic, route, routed
from colchis_steps._rollout.targets import deployment, kserve

GOLDEN = Path(__file__).parents[1] / "golden"
GATEWAY = ("traefik", "models")
HEADERS = (HeaderRoute("style", "transfer", 3), HeaderRoute("style", "plain", 1))
CANARY = Traffic({1: 90, 2: 10}, labels={"stable": 1, "canary": 2})
WHOLE = Traffic({1: 60, 2: 30, 3: 10}, HEADERS, sticky="x-user", mirror=2)


def made(name: str) -> dict[str, Any]:
    """Return the route, made anew: what is made while tests are collected shows no mutant."""
    if name == "canary":
        return route("digits", CANARY, GATEWAY, deployment.backend)
    return route("digits", WHOLE, GATEWAY, kserve.backend)


@pytest.mark.parametrize("name", ["canary", "whole"])
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


@pytest.mark.parametrize("below", ["v1/models/digits/labels/{}:predict", "v2/models/digits/labels/{}/infer"])
def test_a_labels_path_leads_to_its_version_and_is_no_share(below: str) -> None:
    for label, version in CANARY.labels.items():
        assert chosen(made("canary"), f"/{below.format(label)}", {}) == {f"colchis-digits-{version}": 1}
    assert routed(made("canary")) == {1: 90, 2: 10}
