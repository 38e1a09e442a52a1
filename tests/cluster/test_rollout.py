"""Rollout on a cluster: two models side by side, a second version of one, the way back, and what rests in between."""

from concurrent.futures import ThreadPoolExecutor
from signal import Signals

import pytest
from tests.cluster.conftest import Site, asking
from tests.cluster.installed import GATEWAY, NEEDS_CLUSTER, kubectl, until

from colchis_steps._rollout.checks import check_answers

pytestmark = NEEDS_CLUSTER


@pytest.fixture(scope="module")
def models(site: Site) -> tuple[str, str]:
    """Two models whose names no other namespace on the gateway has: one with three versions, one with one."""
    suffix = site.namespace.rpartition("-")[2]
    first, other = f"one-{suffix}", f"two-{suffix}"
    for version in (1, 2, 3):
        site.publish(first, version, f"tiny/{version}")
    site.publish(other, 1, "tiny/3")
    site.publish(other, 2, "tiny/2")
    return first, other


def pod_of(site: Site, model: str, version: int) -> dict[str, object]:
    """Return a version's one pod: its image volume, its init containers, its uid."""
    found = site.get("pods", f"--selector=colchis.dev/model={model},colchis.dev/version={version}")["items"]
    alive = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
    assert len(alive) == 1
    volumes = [volume.get("image", {}).get("reference") for volume in alive[0]["spec"]["volumes"]]
    return {
        "images": [reference for reference in volumes if reference],
        "copies": len(alive[0]["spec"].get("initContainers", [])),
        "uid": alive[0]["metadata"]["uid"],
        "token": alive[0]["spec"]["automountServiceAccountToken"],
    }


def test_versions_and_models_come_go_and_come_back(site: Site, models: tuple[str, str]) -> None:
    model, other = models
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(site.roll, model, 1), pool.submit(site.roll, other, 1, "--model-volume=copy")]
        assert all("moved in" in ended.result() for ended in both)
    assert (site.ask(model), site.ask(other)) == (1, 3)
    check_answers(GATEWAY, model, 1)  # V1 and V2, under the version's own path
    first = pod_of(site, model, 1)
    assert (first["images"], first["copies"], first["token"]) == ([site.record(model, 1).image], 0, False)
    copied = pod_of(site, other, 1)
    assert (copied["images"], copied["copies"]) == ([], 1)

    with asking(site, model) as answers:
        until(10, "an answer", lambda: answers)
        site.roll(model, 2)
        until(10, "an answer of version 2", lambda: answers[-1] == 2)
    assert set(answers) == {1, 2}, "a request failed while traffic moved"
    assert answers == sorted(answers, key=str)
    assert (site.ask(model), site.stable(model)) == (2, (2, 1))
    assert site.replicas() == {f"colchis-{model}-1": 0, f"colchis-{model}-2": 1, f"colchis-{other}-1": 1}
    held = site.get("deployment", f"colchis-{model}-1")["metadata"]["annotations"]
    assert held["colchis.dev/held-since"].endswith("Z")
    assert pod_of(site, other, 1) == copied, "the other model's pod was touched"

    before = pod_of(site, model, 2), site.get("httproute", f"colchis-{model}")["metadata"]["generation"]
    site.roll(model, 2)  # again: nothing changes
    assert (pod_of(site, model, 2), site.get("httproute", f"colchis-{model}")["metadata"]["generation"]) == before
    assert site.stable(model) == (2, 1)

    listed = site.step("colchis_steps.models", "list", f"--store={site.store.url}").stdout
    row = next(line.split() for line in listed.splitlines() if line.startswith(model))
    assert (row[1:3], row[-2:]) == (["3", "2"], [f"{GATEWAY}/v1/models/{model}", "yes"])

    back = site.step("colchis_steps.models", "rollback", model, f"--store={site.store.url}")
    assert f"version 1 of {model} answers again after" in back.stderr
    assert (site.ask(model), site.stable(model)) == (1, (1, None))
    events = site.get("events", "--field-selector=reason=Pulling")["items"]
    assert not [event for event in events if site.record(model, 1).image in event.get("message", "")][1:], (
        "pulled twice"
    )
    again = site.step("colchis_steps.models", "rollback", model, f"--store={site.store.url}", code=65)
    assert f"nothing was served before version 1 of {model}" in again.stderr

    site.roll(model, 3)
    assert site.replicas() == {f"colchis-{model}-1": 0, f"colchis-{model}-3": 1, f"colchis-{other}-1": 1}
    assert site.names("services") == [f"colchis-{model}-1", f"colchis-{model}-3", f"colchis-{other}-1"]
    gone = site.step("colchis_steps.models", "rollback", model, "--to=2", f"--store={site.store.url}", code=65)
    assert f"version 2 of {model} is not kept" in gone.stderr
    assert f"--image={site.record(model, 2).image}" in gone.stderr


@pytest.mark.parametrize("signal", [Signals.SIGTERM, Signals.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_rollout_that_is_stopped_leaves_what_was_served_and_can_be_run_again(
    site: Site, models: tuple[str, str], signal: Signals
) -> None:
    model, started = models[1], f"colchis-{models[1]}-2"
    process = site.begin(model, 2)
    until(30, started, lambda: started in site.replicas())
    process.send_signal(signal)
    process.wait(60)
    assert (site.ask(model), site.stable(model)[0]) == (3, 1)
    if signal == Signals.SIGTERM:
        assert process.returncode == 75
        assert (started in site.names("deployments"), started in site.names("services")) == (False, False)
    else:
        site.roll(model, 2)
        assert (site.ask(model), site.stable(model)) == (2, (2, 1))
        site.step("colchis_steps.models", "rollback", model, f"--store={site.store.url}")
        assert (site.ask(model), site.stable(model)) == (3, (1, None))


def test_what_was_held_long_enough_goes_and_nothing_else(site: Site, models: tuple[str, str]) -> None:
    model, other = models
    prune = ["colchis_steps.prune", f"--store={site.store.url}"]
    assert site.step(*prune).stdout == ""
    foreign = {"app.kubernetes.io/managed-by": "colchis", "colchis.dev/version": "7"}
    manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "mine", "labels": foreign}}
    ports = {"spec": {"ports": [{"port": 80}]}}
    kubectl("--namespace", site.namespace, "apply", "--filename=-", given=manifest | ports)
    assert f"{model} 1 would go, at rest since" in site.step(*prune, "--hold=0s", "--dry-run").stdout
    assert f"colchis-{model}-1" in site.replicas()
    removed = site.step(*prune, "--hold=0s").stdout.splitlines()
    assert [line.split()[:3] for line in removed] == [[model, "1", "removed,"], [other, "2", "removed,"]]
    assert site.replicas() == {f"colchis-{model}-3": 1, f"colchis-{other}-1": 1}
    assert site.names("services") == [f"colchis-{model}-3", f"colchis-{other}-1"]
    assert site.get("service", "mine")
    assert site.ask(model) == 3
