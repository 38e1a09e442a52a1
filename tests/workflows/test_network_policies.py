"""Who reaches whom: each pod that there can be is selected by the policies that are meant for it, and no other one."""

from collections.abc import Mapping
from typing import Any

import pytest

from colchis_steps._manifests.batch_jobs import BatchJob, batch_job
from colchis_steps._manifests.deployment import Deployed
from colchis_steps._manifests.kserve import inference_service
from colchis_steps._manifests.preheat import daemon_set
from colchis_steps._manifests.runtime import pods
from colchis_steps._manifests.training import Training
from colchis_steps._manifests.training_pods import pod
from colchis_workflows import render
from colchis_workflows._templates.network import network_policies
from colchis_workflows.settings import Settings

Object = dict[str, Any]
POLICIES = {found["metadata"]["name"]: found["spec"] for found in network_policies(Settings())}
DEPLOYED = Deployed("digits", 1, "run-1", f"registry.example/digits@sha256:{'0' * 64}", "serve")
STEPS = {
    f"{document['metadata']['name']}/{template['name']}": template["metadata"]["labels"]
    for document in render.objects(Settings())
    for template in document["spec"].get("templates", [])
    if "container" in template
}
WORKERS = {
    backend: pod(Training(backend, "run-1", "digits", 2, "train", []), {})["metadata"]["labels"]
    for backend in ("indexed-job", "jobset", "trainjob", "tfjob", "pytorchjob")
}
SERVING = {
    "deployment": pods(DEPLOYED, "{}")["spec"]["template"]["metadata"]["labels"],
    "kserve": inference_service(DEPLOYED, "{}")["spec"]["predictor"]["labels"],
}
PREHEAT = daemon_set(DEPLOYED)["spec"]["template"]["metadata"]["labels"]


def selected(labels: Mapping[str, str]) -> set[str]:
    """Return the policies that select a pod of these labels."""

    def meets(selector: Object) -> bool:
        wanted = selector.get("matchLabels", {}).items() <= labels.items()
        return wanted and all(labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", []))

    return {name for name, spec in POLICIES.items() if meets(spec["podSelector"])}


def egress(labels: Mapping[str, str]) -> set[int] | None:
    """Return the ports that a pod reaches anywhere; None: all."""
    rules = [POLICIES[name]["egress"] for name in selected(labels) if "Egress" in POLICIES[name]["policyTypes"]]
    if not rules:
        return None
    return {port["port"] for rule in rules for one in rule if "to" not in one for port in one["ports"]}


@pytest.mark.parametrize("name", STEPS)
def test_nobody_reaches_a_step_and_user_code_reaches_few_ports(name: str) -> None:
    own_code = name.startswith(tuple(f"colchis-{step}/" for step in ("prepare", "train", "adopt", "evaluate", "batch")))
    assert selected(STEPS[name]) == {"colchis-steps"} | ({"colchis-own-code"} if own_code else set())
    assert POLICIES["colchis-steps"]["ingress"] == []
    assert egress(STEPS[name]) == ({443, 6443, 9000, 53} if own_code else None)


@pytest.mark.parametrize("backend", WORKERS)
def test_nobody_reaches_a_worker_but_by_the_policy_of_its_training(backend: str) -> None:
    assert selected(WORKERS[backend]) == {"colchis-made", "colchis-workers"}
    assert "ingress" not in POLICIES["colchis-workers"]
    assert POLICIES["colchis-made"]["ingress"] == []
    assert egress(WORKERS[backend]) == {443, 6443, 9000, 53}
    (among,) = [rule for rule in POLICIES["colchis-workers"]["egress"] if "to" in rule]
    (peer,) = among["to"]
    assert peer["podSelector"]["matchLabels"].items() <= WORKERS[backend].items()
    assert "ports" not in among, "a command's own exchange chooses its ports"


@pytest.mark.parametrize("target", SERVING)
def test_a_served_model_is_reached_at_its_ports_and_reaches_little(target: str) -> None:
    assert selected(SERVING[target]) == {"colchis-made", "colchis-models"}
    (rule,) = POLICIES["colchis-models"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [8501, 8500]
    assert egress(SERVING[target]) == {443, 9000, 5000, 53}


def test_nobody_reaches_the_pods_of_a_batch_and_they_reach_few_ports() -> None:
    labels = batch_job(BatchJob("run-1", "digits", 2, "train:1", ()))["spec"]["template"]["metadata"]["labels"]
    assert selected(labels) == {"colchis-made", "colchis-batches"}
    assert egress(labels) == {443, 6443, 9000, 53}


def test_nobody_reaches_what_preheats() -> None:
    assert selected(PREHEAT) == {"colchis-made"}


def test_a_policy_says_which_ways_it_holds() -> None:
    for spec in POLICIES.values():
        assert {way.lower() for way in spec["policyTypes"]} == {"ingress", "egress"} & spec.keys()
