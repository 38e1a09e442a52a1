"""The whole chain where the namespace enforces Pod Security's restricted profile and the admission policies hold."""

import json
from collections.abc import Iterator

import pytest
from tests.cluster.installed import MANIFESTS, NEEDS_CLUSTER, Installation, kubectl
from tests.cluster.overlay import installed

pytestmark = [*NEEDS_CLUSTER, pytest.mark.long]
POLICIES = "validatingadmissionpolicies"


@pytest.fixture(scope="module")
def hardened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation of the overlay; policies that it brought go with it."""
    there = kubectl("get", POLICIES, "--output=name")
    try:
        with installed(tmp_path_factory.mktemp("overlay"), "hardened", "hardened") as here:
            yield here
    finally:
        if "colchis-pods" not in there:
            policies = MANIFESTS / "components" / "admission" / "policies.yaml"
            kubectl("delete", "--filename", str(policies), "--wait=false", "--ignore-not-found")


def test_the_chain_runs_by_a_job_and_is_served_with_no_pod_that_is_root(hardened: Installation) -> None:
    labels = json.loads(kubectl("get", "namespace", hardened.namespace, "--output=json"))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    run = hardened.ended(hardened.submit(model="hard", backend="indexed-job"), 400)
    assert run.phase == "Succeeded", run.told()
    assert run.outputs["verdict"] == "pass", run.told()
    assert run.outputs["endpoint"].endswith("/v1/models/hard"), run.told()
    assert run.node("kaniko")["type"] == "Skipped", run.told()


def test_kaniko_is_refused_there_and_the_run_says_by_whom(hardened: Installation) -> None:
    run = hardened.ended(hardened.submit(model="root", builder="kaniko"), 400)
    assert run.phase in {"Failed", "Error"}, run.told()
    assert 'violates PodSecurity "restricted' in run.told()
