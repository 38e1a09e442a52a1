"""The jobs by the clock: whether one is suspended is for `argo cron` to say, and `kubectl apply -k` leaves it alone."""

import json
import subprocess
import uuid
from collections.abc import Iterator

import pytest
import yaml
from tests.cluster.beside import program
from tests.cluster.installed import MANIFESTS, NEEDS_CLUSTER, kubectl

pytestmark = NEEDS_CLUSTER
NIGHTLY, NAMESPACED = MANIFESTS / "nightly", MANIFESTS / "overlays" / "namespaced"
RETRAIN, PRUNE = "colchis-retrain", "colchis-prune-nightly"


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"colchis-nightly-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def cron(namespace: str, verb: str, name: str) -> None:
    """Suspend or resume a job as its owner does, by Argo's own command."""
    command = [program("argo"), "--namespace", namespace, "cron", verb, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def suspended(namespace: str) -> dict[str, bool]:
    found = json.loads(kubectl("--namespace", namespace, "get", "cronworkflows", "--output=json"))["items"]
    return {job["metadata"]["name"]: job["spec"].get("suspend", False) for job in found}


def test_what_was_suspended_or_resumed_stays_so_when_it_is_applied_again(namespace: str) -> None:
    apply = ["--namespace", namespace, "apply", "--kustomize", str(NIGHTLY)]
    kubectl(*apply)
    assert suspended(namespace) == {RETRAIN: False, PRUNE: False}
    for verb, expected in (("suspend", True), ("resume", False)):
        cron(namespace, verb, RETRAIN)
        for _ in range(2):
            kubectl(*apply)
            assert suspended(namespace) == {RETRAIN: expected, PRUNE: False}


@pytest.mark.long
def test_a_job_of_an_installation_that_set_suspend_stays_as_its_owner_left_it(namespace: str) -> None:
    """Earlier manifests had the jobs in the base with ``suspend: true``, which `kubectl apply` has noted on them."""
    for path in NIGHTLY.glob("colchis-*.yaml"):
        before = yaml.safe_load(path.read_text())
        before["spec"]["suspend"] = True
        kubectl("--namespace", namespace, "apply", "--filename=-", given=before)
    cron(namespace, "resume", RETRAIN)
    for _ in range(2):
        kubectl("--namespace", namespace, "apply", "--kustomize", str(NAMESPACED))
        assert suspended(namespace) == {RETRAIN: False, PRUNE: True}
    for _ in range(2):
        kubectl("--namespace", namespace, "apply", "--filename", str(NIGHTLY / f"{RETRAIN}.yaml"))
        assert suspended(namespace) == {RETRAIN: False, PRUNE: True}
