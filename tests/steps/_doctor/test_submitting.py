"""Whether submitters are held to the templates, by the configuration of Argo's controller."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.steps.kube_server import Server, serving

from colchis_steps._doctor.submitting import CONFIG, referencing, setting, submitters
from colchis_steps._kube.api import Api

PODS = "/api/v1/pods"
RESTRICTED = {"workflowRestrictions": "templateReferencing: Secure\n"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(tmp_path, monkeypatch) as found:
        found.answers[PODS] = pods()
        yield found


def pods(*args: str, namespace: str = "flows") -> tuple[int, dict[str, Any]]:
    containers = [{"command": ["workflow-controller"], "args": list(args)}]
    return 200, {"items": [{"metadata": {"namespace": namespace}, "spec": {"containers": containers}}]}


def config(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/{name}"


@pytest.mark.parametrize("args", [("--configmap", "own"), ("--configmap=own", "--namespaced")])
def test_the_configuration_is_the_one_that_the_controller_is_given(server: Server, args: tuple[str, ...]) -> None:
    server.answers |= {PODS: pods(*args), config("flows", "own"): (200, {"data": RESTRICTED})}
    assert referencing(Api()) == ("flows/own", "Secure")
    assert submitters("flows/own", "Secure").state == "fine"


def test_without_it_who_submits_is_trusted_and_that_is_said(server: Server) -> None:
    server.answers[config("flows", CONFIG)] = (200, {})
    finding = submitters(*referencing(Api()))
    assert (finding.state, finding.fix.count(f"flows/{CONFIG}")) == ("skipped", 1)
    assert "may run anything with our accounts" in finding.text


def test_who_may_not_read_it_hears_that(server: Server) -> None:
    server.answers[config("flows", CONFIG)] = (403, {"message": "forbidden"})
    finding = submitters(*referencing(Api()))
    assert (finding.state, finding.fix) == ("skipped", "")
    assert "you may not read argo/" in finding.text


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (RESTRICTED, "Secure"),
        ({"config": "workflowRestrictions:\n  templateReferencing: Strict\n"}, "Strict"),
        ({"config": "parallelism: 3\n"}, ""),
        ({"workflowRestrictions": ": : {"}, ""),
        ({}, ""),
    ],
)
def test_the_setting_stands_in_a_key_of_its_own_or_in_the_whole(data: dict[str, str], found: str) -> None:
    assert setting(data) == found
