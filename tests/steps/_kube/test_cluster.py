"""What needs no cluster: whose an object is, what is the matter with pods, no configuration."""

from pathlib import Path
from typing import Any

import pytest

from colchis_steps._kube.cluster import Cluster, is_ours
from colchis_steps._kube.pod_trouble import LENGTH, Trouble, clipped, is_ready, starting, trouble
from colchis_steps._manifests.objects import MANAGED
from colchis_steps._step.errors import InputError

MODEL = {"colchis.dev/model": "digits"}
QUIET: dict[str, Any] = {"status": {}}


@pytest.mark.parametrize(
    ("labels", "ours"),
    [
        ({**MANAGED, **MODEL}, True),
        ({**MANAGED, **MODEL, "more": "x"}, True),
        ({**MANAGED, "colchis.dev/model": "other"}, False),
        (MANAGED, False),
        (MODEL, False),
        (None, False),
    ],
)
def test_only_what_has_our_label_and_this_models_is_ours(labels: dict[str, str] | None, ours: bool) -> None:
    assert is_ours({"metadata": {"labels": labels}}, {**MODEL, "colchis.dev/version": "2"}) is ours


def test_no_configuration_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"no cluster is configured .*set KUBECONFIG, or run in a pod"):
        Cluster()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"no cluster is configured .*set KUBECONFIG"):
        Cluster()


def pod(status: dict[str, Any], **metadata: str) -> dict[str, Any]:
    return {"metadata": {"name": "pod-1", **metadata}, "status": status}


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "serve", "state": state, **more}]}


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": message, "reason": reason}}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, Trouble()),
        (container({"running": {}}), Trouble()),
        (container({"waiting": {"reason": "ContainerCreating"}}), Trouble()),
        (container(ended(65, "x is wrong\n")), Trouble("container serve ended with code 65: x is wrong", True)),
        (container(ended(75, "later")), Trouble("container serve ended with code 75: later", False)),
        (container(ended(0)), Trouble()),
        (
            container({"waiting": {"reason": "CrashLoopBackOff"}}, lastState=ended(134), restartCount=3),
            Trouble("container serve ended with code 134: Error", True),
        ),
        (
            container({"running": {}}, lastState=ended(137, reason="OOMKilled"), restartCount=1),
            Trouble("container serve ended with code 137: OOMKilled", True),
        ),
        (
            container({"waiting": {"reason": "ImagePullBackOff", "message": "a: not found"}}),
            Trouble("container serve waits, ImagePullBackOff: a: not found", True),
        ),
        (
            container({"waiting": {"reason": "ErrImagePull", "message": "i/o timeout"}}),
            Trouble("container serve waits, ErrImagePull: i/o timeout", False),
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]},
            Trouble("pod-1 is not scheduled: 0/1 nodes", False),
        ),
    ],
)
def test_pods_say_what_is_the_matter_and_whether_waiting_may_help(status: dict[str, Any], expected: Trouble) -> None:
    assert trouble(QUIET, [pod(status)]) == expected


def test_what_is_hopeless_is_told_first_and_a_pod_that_goes_is_not_asked() -> None:
    late, wrong = pod(container(ended(75, "later"))), pod(container(ended(65, "wrong")))
    assert trouble(QUIET, [late, wrong]).reason.endswith("wrong")
    assert trouble(QUIET, [pod(wrong["status"], deletionTimestamp="now")]) == Trouble()
    quota = {"status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]}}
    assert trouble(quota, []) == Trouble("no pod is made: exceeded quota", False)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({}, ""),
        (container({"terminated": {"exitCode": 0}}), ""),
        (container({"running": {}}, ready=True), ""),
        (container({"running": {}}, ready=False), "container serve of pod-1 runs, and is not ready"),
        (
            container({"waiting": {"reason": "ContainerCreating"}}),
            "container serve is not there (ContainerCreating); see: kubectl describe pod pod-1",
        ),
    ],
)
def test_pods_that_start_say_how_far_they_are(status: dict[str, Any], told: str) -> None:
    assert starting([pod(status)]) == told


def test_a_long_message_keeps_its_end() -> None:
    text = clipped("failed to pull " + "x" * 999 + ": not found")
    assert len(text) < LENGTH + 5
    assert text.startswith("failed to pull")
    assert text.endswith(": not found")


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}, True),
        ({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}, False),
        ({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}, False),
        ({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}, False),
        ({}, False),
    ],
)
def test_ready_are_pods_of_the_newest_description_and_no_others(status: dict[str, int], ready: bool) -> None:
    assert is_ready({"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}) is ready
