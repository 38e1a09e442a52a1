"""Rollouts that must not happen: each ends with its exit code and a sentence, and leaves what was served before."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from tests.cluster.conftest import Site, account, asking
from tests.cluster.installed import NEEDS_CLUSTER, TAG, kubectl, until

from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests import objects
from colchis_steps._step.errors import InputError

pytestmark = NEEDS_CLUSTER
NO_SUCH = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def model(site: Site) -> str:
    """A model: 1 is served; 2 answers NaN, 3 is in no registry, 4 is not a SavedModel, 5 is as good as 1."""
    name = f"bad-{site.namespace.rpartition('-')[2]}"
    site.publish(name, 1, "tiny/1")
    site.publish(name, 2, "nan")
    site.publish(name, 3, "tiny/2", image=site.record(name, 1).image.partition("@")[0] + f"@{NO_SUCH}")
    (site.directory / "broken").mkdir()
    (site.directory / "broken/saved_model.pb").write_bytes(b"no graph")
    site.publish(name, 4, "broken")
    site.publish(name, 5, "tiny/3")
    site.roll(name, 1)
    return name


def untouched(site: Site, model: str) -> None:
    """Version 1 answers, is stable and is all that there is."""
    assert (site.ask(model), site.stable(model)) == (1, (1, None))
    for kind in ("deployments", "services"):
        assert [name for name in site.names(kind) if model in name] == [f"colchis-{model}-1"]


def without_status(found: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return what only who made the object changes."""
    return found["metadata"]["uid"], found["metadata"].get("labels", {}), found["spec"]


@pytest.fixture(scope="module", autouse=True)
def without_image(site: Site) -> Iterator[dict[str, Future[str]]]:
    """Two rollouts whose images are in no registry, begun first: a node takes its time to say so."""
    name = f"gone-{site.namespace.rpartition('-')[2]}"
    site.publish(name, 1, "tiny/1")
    repository = site.record(name, 1).image.partition("@")[0]
    site.publish(name, 2, "tiny/2", image=f"{repository}@{NO_SUCH}")
    server = site.serve_image.partition("@")[0] + f"@{NO_SUCH}"
    with ThreadPoolExecutor(2) as pool:
        yield {
            "model": pool.submit(site.roll, name, 2, code=65),
            "serve": pool.submit(site.roll, name, 1, f"--serve-image={server}", code=65),
        }


@pytest.mark.parametrize(
    ("version", "volume", "sentence"),
    [
        (2, "image", "answers a row of its least values with NaN"),
        (3, "copy", "container model ended with code 65: "),
        (4, "image", "does not load: "),
    ],
    ids=["answers NaN", "image not in the registry", "no SavedModel"],
)
def test_a_version_that_cannot_be_served_leaves_no_trace(
    site: Site, model: str, version: int, volume: str, sentence: str
) -> None:
    assert sentence in site.roll(model, version, f"--model-volume={volume}", code=65)
    untouched(site, model)


def test_a_server_image_without_a_server_is_told(site: Site, model: str) -> None:
    light = f"{site.serve_image.partition('@')[0].rpartition('/')[0]}/steps:{TAG}"
    said = site.roll(model, 5, f"--serve-image={light}", code=65)
    assert "container serve ended with code 65: uvicorn is not installed" in said
    untouched(site, model)


def test_a_cluster_without_room_is_waited_for_and_named(site: Site, model: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}}}
    kubectl("--namespace", site.namespace, "apply", "--filename=-", given=quota)
    until(20, "the quota", lambda: site.get("resourcequota", "full")["status"].get("used", {}).get("pods"))
    said = site.roll(model, 5, "--ready-seconds=3", code=75)
    kubectl("--namespace", site.namespace, "delete", "resourcequota", "full")
    assert f"version 5 of {model} is not ready after 3 s: no pod is made: " in said
    assert "exceeded quota: full" in said
    untouched(site, model)


def test_foreign_objects_of_the_same_name_are_never_touched(site: Site, model: str) -> None:
    selector: dict[str, Any] = {"matchLabels": {"app": "mine"}}
    pod = {"metadata": {"labels": {"app": "mine"}}, "spec": {"containers": [{"name": "a", "image": "pause"}]}}
    specs: dict[str, tuple[str, Any]] = {
        "Deployment": ("apps/v1", {"replicas": 0, "selector": selector, "template": pod}),
        "Service": ("v1", {"ports": [{"port": 80}]}),
    }
    others = {"app.kubernetes.io/managed-by": "colchis", "colchis.dev/model": "another"}
    for kind, labels in (("Deployment", {}), ("Service", {}), ("Service", others)):
        version, spec = specs[kind]
        metadata = {"name": f"colchis-{model}-5", "labels": labels}
        manifest = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
        kubectl("--namespace", site.namespace, "create", "--filename=-", given=manifest)
        before = without_status(site.get(kind, f"colchis-{model}-5"))
        said = site.roll(model, 5, code=65)
        assert f"{kind} colchis-{model}-5 in namespace {site.namespace} was not made by colchis" in said
        assert without_status(site.get(kind, f"colchis-{model}-5")) == before
        kubectl("--namespace", site.namespace, "delete", kind, f"colchis-{model}-5")
    untouched(site, model)


def test_a_gateway_that_is_not_there_is_told_before_traffic_moves(site: Site, model: str) -> None:
    said = site.roll(model, 5, code=65, COLCHIS_GATEWAY="")
    assert "names no Gateway; give --gateway=NAMESPACE/NAME, or COLCHIS_GATEWAY in ConfigMap colchis" in said
    said = site.roll(model, 5, "--gateway-url=traefik", code=65)
    assert "'traefik' is not an address of the gateway" in said
    with asking(site, model) as answers:
        said = site.roll(model, 5, "--gateway=nowhere/none", code=65)
    assert set(answers) == {1}, "the route left the Gateway that leads to it"
    assert "Gateway nowhere/none does not take the route" in said
    assert "is there such a Gateway" in said
    untouched(site, model)


def test_a_model_moves_to_another_gateway_and_no_request_fails(site: Site, model: str) -> None:
    namespace, _, name = site.environment["COLCHIS_GATEWAY"].partition("/")
    there = json.loads(kubectl("--namespace", namespace, "get", "gateway", name, "--output=json"))
    spec = {key: there["spec"][key] for key in ("gatewayClassName", "listeners")}
    other = {"apiVersion": there["apiVersion"], "kind": "Gateway", "metadata": {"name": "other"}, "spec": spec}
    kubectl("--namespace", site.namespace, "create", "--filename=-", given=other)
    try:
        for gateway in (f"{site.namespace}/other", f"{namespace}/{name}"):
            with asking(site, model) as answers:
                site.roll(model, 1, f"--gateway={gateway}")
            assert set(answers) == {1}, f"a request failed while the route moved to {gateway}"
            (parent,) = site.get("httproute", f"colchis-{model}")["spec"]["parentRefs"]
            assert f"{parent['namespace']}/{parent['name']}" == gateway
    finally:
        kubectl("--namespace", site.namespace, "delete", "gateway", "other")


def test_an_account_without_the_right_is_told_which_role_has_it(site: Site, model: str) -> None:
    config = account(site.namespace, "colchis-step", site.directory / "step")
    said = site.roll(model, 5, code=65, KUBECONFIG=str(config))
    assert f"this account may not get Deployment colchis-{model}-5 in namespace {site.namespace}" in said
    assert "bind it to the Role colchis-rollout" in said
    wrong = json.loads(config.read_text())
    wrong["users"][0]["user"]["token"] = "wrong"
    config.write_text(json.dumps(wrong))
    assert "does not know this account" in site.roll(model, 5, code=65, KUBECONFIG=str(config))
    wrong["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    config.write_text(json.dumps(wrong))
    assert "does not answer" in site.roll(model, 5, code=75, KUBECONFIG=str(config))
    assert "no cluster is configured" in site.roll(model, 5, code=65, KUBECONFIG="/nonexistent")


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # of a test cluster's kubeconfig
def test_a_kind_that_the_cluster_does_not_know_and_a_namespace_that_is_not_there_are_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(objects.KINDS, "HTTPRoute", ("gateway.nowhere.example/v1", "httproutes"))
    route = {"apiVersion": "gateway.nowhere.example/v1", "kind": "HTTPRoute", "metadata": {"name": "a", "labels": {}}}
    with pytest.raises(
        InputError,
        match=r"no HTTPRoute of gateway\.nowhere\.example/v1; install a Gateway API",
    ):
        Cluster(site.namespace).apply(route)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "labels": {}}, "spec": {}}
    with pytest.raises(InputError, match="the cluster has no namespace colchis-nowhere; create it"):
        Cluster("colchis-nowhere").apply(service)
    with pytest.raises(InputError, match=r"the cluster refuses Service a: .*change that"):
        Cluster(site.namespace).apply(service)
    assert Cluster(site.namespace).may("get", "apps", "deployments")
    assert Cluster("colchis-nowhere").get("Service", "a") is None


@pytest.mark.parametrize("which", ["model", "serve"])
def test_an_image_that_is_in_no_registry_is_told(site: Site, without_image: dict[str, Future[str]], which: str) -> None:
    said = {name: rollout.result(timeout=150) for name, rollout in without_image.items()}[which]
    assert "container serve waits, " in said
    assert "not found" in said
    assert not [name for name in site.names("deployments") + site.names("services") if "gone-" in name]
