"""Who enforces network policies: known by signs that a cluster shows, and said where nobody does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.steps.kube_server import Server, serving

from colchis_steps._doctor.network import enforcer, network
from colchis_steps._kube.api import Api

ALL, SYSTEM = "/apis/apps/v1/daemonsets", "/apis/apps/v1/namespaces/kube-system/daemonsets"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(tmp_path, monkeypatch) as found:
        found.answers["/apis"] = groups("apps", "networking.k8s.io")
        found.answers[ALL] = daemons()
        yield found


def groups(*names: str) -> tuple[int, dict[str, Any]]:
    return 200, {"kind": "APIGroupList", "groups": [{"name": name} for name in names]}


def daemons(*names: str, args: tuple[str, ...] = ()) -> tuple[int, dict[str, Any]]:
    containers = [{"name": "aws-node"}, {"name": "aws-eks-nodeagent", "args": list(args)}]
    spec = {"template": {"spec": {"containers": containers}}}
    return 200, {"items": [{"metadata": {"name": name}, "spec": spec} for name in names]}


@pytest.mark.parametrize(
    ("group", "who"),
    [("crd.projectcalico.org", "Calico"), ("cilium.io", "Cilium"), ("crd.antrea.io", "Antrea")],
)
def test_an_api_group_tells_it_without_any_right(server: Server, group: str, who: str) -> None:
    server.answers |= {"/apis": groups("apps", group), ALL: (403, {"message": "forbidden"})}
    assert enforcer(Api(), "v1.36.2") == who


@pytest.mark.parametrize(
    ("daemon", "who"),
    [("kube-router", "kube-router"), ("anetd", "GKE Dataplane V2"), ("azure-npm", "Azure Network Policy Manager")],
)
def test_a_daemon_set_tells_it(server: Server, daemon: str, who: str) -> None:
    server.answers[ALL] = daemons("kube-proxy", daemon)
    assert enforcer(Api(), "v1.36.2") == who
    server.answers |= {ALL: (403, {"message": "forbidden"}), SYSTEM: daemons(daemon)}
    assert enforcer(Api(), "v1.36.2") == who


def test_the_network_of_aws_enforces_where_it_is_told_to(server: Server) -> None:
    server.answers[ALL] = daemons("aws-node", args=("--enable-network-policy=false",))
    assert enforcer(Api(), "v1.36.2-eks-1") == ""
    server.answers[ALL] = daemons("aws-node", args=("--enable-network-policy=true",))
    assert enforcer(Api(), "v1.36.2-eks-1") == "the AWS VPC CNI"


def test_a_distribution_with_a_controller_of_its_own_is_known_by_its_version(server: Server) -> None:
    assert enforcer(Api(), "v1.36.2+k3s1") == "k3s's own controller"


def test_flannel_and_a_plain_bridge_enforce_nothing(server: Server) -> None:
    server.answers[ALL] = daemons("kube-proxy", "kube-flannel-ds")
    assert enforcer(Api(), "v1.36.2") == ""
    finding = network("")
    assert (finding.state, "whoever reaches a worker's port can run code in it" in finding.text) == ("skipped", True)
    assert "docs/security.md" in finding.fix


def test_who_may_not_look_hears_that(server: Server) -> None:
    server.answers |= {ALL: (403, {"message": "forbidden"}), SYSTEM: (403, {"message": "forbidden"})}
    assert enforcer(Api(), "v1.36.2") is None
    assert network(None).text.startswith("you may not list DaemonSets")
    assert network("Calico").state == "fine"
