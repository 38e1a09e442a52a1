"""What stands beside a training's job: who may reach its pods, their names, and that it goes with the job."""

from typing import Any

import pytest
from tests.steps._manifests.test_training_jobs import OWNER, every_backend, template, training

from colchis_steps._manifests.objects import KINDS, Object
from colchis_steps._manifests.training_beside import beside


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Hold labels against a selector as Kubernetes does."""
    return bool(selector["matchLabels"].items() <= labels.items())


@every_backend
def test_only_a_trainings_own_pods_reach_its_workers(backend: str) -> None:
    """TensorFlow's server runs the graph of whoever reaches it."""
    one = training(backend, workflow="run-x")
    policy = beside(one)[0]
    assert policy["kind"] == "NetworkPolicy"
    spec = policy["spec"]
    assert spec["policyTypes"] == ["Ingress"], "workers ask the store and the name service"
    (rule,) = spec["ingress"]
    assert rule.keys() == {"from"}, "on every port: a command's own exchange chooses its ports"
    (peer,) = rule["from"]
    assert peer.keys() == {"podSelector"}, "pods of this namespace"
    own = template(one)["metadata"]["labels"]
    strangers: list[dict[str, str]] = [
        template(training(backend, run="other"))["metadata"]["labels"],
        template(training(backend, model="other"))["metadata"]["labels"],
        {name: value for name, value in own.items() if name != "colchis.dev/training"},
        {"app.kubernetes.io/part-of": "colchis"},
        {},
    ]
    for selector in (spec["podSelector"], peer["podSelector"]):
        assert selects(selector, own)
        assert not any(selects(selector, labels) for labels in strangers)


@every_backend
def test_nothing_else_connects_to_a_worker(backend: str) -> None:
    """A probe over the network or a hook would need a way in."""
    (container,) = template(training(backend))["spec"]["containers"]
    assert container.keys().isdisjoint({"livenessProbe", "readinessProbe", "startupProbe", "lifecycle"})


@every_backend
def test_it_has_the_jobs_name_and_goes_with_it(backend: str) -> None:
    one = training(backend)
    more = {"indexed-job": ["Service"], "trainjob": ["TrainingRuntime"]}.get(backend, [])
    assert [thing["kind"] for thing in beside(one)] == ["NetworkPolicy", *more]
    for plain, owned in zip(beside(one), beside(one, OWNER), strict=True):
        assert owned["apiVersion"] == KINDS[owned["kind"]][0]
        assert owned["metadata"].pop("ownerReferences") == [OWNER]
        assert owned == plain
        assert plain["metadata"] == {"name": one.name, "labels": one.labels}


def test_an_indexed_jobs_pods_have_names_before_they_are_ready() -> None:
    one = training("indexed-job")
    spec: dict[str, Any] = beside(one)[1]["spec"]
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
    assert spec["selector"].items() <= template(one)["metadata"]["labels"].items()
    assert template(one)["spec"]["subdomain"] == one.name


@pytest.mark.parametrize("backend", ["jobset", "trainjob"])
def test_a_jobsets_controller_makes_the_names(backend: str) -> None:
    assert "Service" not in [thing["kind"] for thing in beside(training(backend))]
