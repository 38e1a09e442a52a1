"""``colchis doctor`` on a cluster: before the installation, after it, and with everything in its place.

Makes a namespace of its own and removes it. Where bucket and registry are is in tests/cluster/installed.py.
"""

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.cluster.installed import AWS, NEEDS_CLUSTER, PATIENCE, REPOSITORY, argo_release, has, kubectl

from colchis_steps._manifests.route import described, prefix
from colchis_steps._manifests.training import KINDS

OVERLAY = Path(__file__).parents[2] / "workflows" / "manifests" / "overlays" / "namespaced"
INSTALLED = ("templates", "service accounts", "Roles", "executor's token")
OURS = ("ConfigMap colchis", "Secrets colchis-s3-…")
pytestmark = NEEDS_CLUSTER


def doctor(namespace: str, *words: str, config: Path | None = None) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run it; give its exit code and its findings by name."""
    command = [sys.executable, "-m", "colchis_steps.doctor", "--namespace", namespace, "--json", *words]
    environment = os.environ | ({"KUBECONFIG": str(config)} if config else {})
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 * PATIENCE, check=False, env=environment)
    assert done.stdout, done.stderr
    return done.returncode, {finding["name"]: finding for finding in json.loads(done.stdout)}


@contextlib.contextmanager
def made(namespace: str) -> Iterator[str]:
    kubectl("create", "namespace", namespace)
    try:
        yield namespace
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with made(f"colchis-doctor-{uuid.uuid4().hex[:6]}") as name:
        kubectl("apply", "--namespace", name, "--kustomize", str(OVERLAY))
        yield name


def test_before_the_installation_each_missing_thing_is_a_finding_with_a_fix() -> None:
    code, found = doctor("colchis-nowhere")
    assert code == 65
    for name in ("namespace", "templates", "service accounts", "Roles", "executor's token", *OURS):
        assert (found[name]["state"], bool(found[name]["fix"])) == ("wrong", True), found[name]
    assert (found["API server"]["state"], found["Argo's CRDs"]["state"]) == ("fine", "fine")


def test_argo_is_fine_from_the_floor_on_and_below_it_the_advisories_are_named() -> None:
    code, found = doctor("colchis-nowhere")
    finding, release = found["Argo's controller"], ".".join(map(str, argo_release()))
    assert release in finding["text"]
    if not below_the_floor():
        assert finding["state"] == "fine", finding
        return
    floor = "4.0.6" if release.startswith("4") else "3.7.15"
    assert (code, finding["state"]) == (65, "wrong")
    assert f"{release} is below {floor}, where CVE-" in finding["text"]
    assert finding["fix"] == "update Argo Workflows to 3.7.15, 4.0.6 or newer"


def below_the_floor() -> bool:
    return argo_release() < (3, 7, 15) or (4, 0, 0) <= argo_release() < (4, 0, 6)


def test_the_installation_settles_what_it_can_and_leaves_what_only_the_user_knows(namespace: str) -> None:
    code, found = doctor(namespace)
    assert code == 65
    assert {name: found[name]["state"] for name in (*INSTALLED, "your rights")} == dict.fromkeys(
        (*INSTALLED, "your rights"), "fine"
    )
    assert {name: found[name]["state"] for name in OURS} == dict.fromkeys(OURS, "wrong")


@pytest.fixture(scope="module")
def gateway() -> str:
    gateways = json.loads(kubectl("get", "gateways", "--all-namespaces", "--output=json"))["items"]
    if not gateways:
        pytest.skip("the cluster has no Gateway")
    return "/".join(gateways[0]["metadata"][key] for key in ("namespace", "name"))


def test_a_model_that_another_namespace_serves_too_is_a_finding(namespace: str, gateway: str) -> None:
    model = f"doctored-{uuid.uuid4().hex[:6]}"
    at, _, name = gateway.partition("/")
    route = described(model, model, (at, name), [{"matches": [prefix(f"/{model}")]}])
    kubectl("--namespace", namespace, "apply", "--filename=-", given=route)
    assert doctor(namespace, "--gateway", gateway)[1]["models' paths"]["state"] == "fine"
    with made(f"colchis-doctor-{uuid.uuid4().hex[:6]}") as other:
        kubectl("--namespace", other, "apply", "--filename=-", given=route)
        _, found = doctor(namespace, "--gateway", gateway)
    told = f"{model} is served from {other} too: at {gateway} the oldest route answers for all"
    assert (found["models' paths"]["state"], found["models' paths"]["text"]) == ("wrong", told)
    kubectl("--namespace", namespace, "delete", "--filename=-", given=route)


def test_with_everything_in_its_place_all_is_fine_and_no_secret_is_shown(namespace: str, gateway: str) -> None:
    config = ["--from-literal=AWS_REGION=us-east-1", f"--from-literal=COLCHIS_GATEWAY={gateway}"]
    kubectl("--namespace", namespace, "create", "configmap", "colchis", *config)
    for name in ("step", "prepare", "worker", "adopt", "train", "evaluate", "batch", "build", "publish", "rollout"):
        secret = [f"colchis-s3-{name}", "--from-literal=credentials=sesame"]
        kubectl("--namespace", namespace, "create", "secret", "generic", *secret)
    code, found = doctor(namespace)
    wrong = [name for name, finding in found.items() if finding["state"] not in {"fine", "skipped"}]
    assert (code, wrong) == ((65, ["Argo's controller"]) if below_the_floor() else (0, [])), found
    assert found["gateway"]["text"] == f"{gateway} is Accepted and Programmed"
    assert found["image volumes"]["state"] == "fine"
    assert "sesame" not in json.dumps(found)


@pytest.mark.long
def test_the_back_end_of_the_training_is_looked_at_where_it_is_asked_for(namespace: str) -> None:
    assert "training" not in doctor(namespace)[1]
    for backend in KINDS:
        _, found = doctor(namespace, "--backend", backend)
        assert found["training"]["state"] == ("fine" if has(backend) else "wrong"), found["training"]
        assert found["Roles"]["state"] == "fine", found["Roles"]
        assert found["submitters"]["state"] in {"fine", "skipped"}
        assert found["network policies"]["state"] in {"fine", "skipped"}
    kubectl("--namespace", namespace, "delete", "rolebinding", "colchis-train")
    _, found = doctor(namespace, "--backend", "tfjob")
    assert "colchis-train may not create tfjobs" in found["Roles"]["text"]
    kubectl("apply", "--namespace", namespace, "--kustomize", str(OVERLAY))


def test_a_user_with_few_rights_is_told_what_was_skipped_and_what_is_lacking(namespace: str, tmp_path: Path) -> None:
    kubectl("--namespace", namespace, "create", "serviceaccount", "nobody")
    token = kubectl("--namespace", namespace, "create", "token", "nobody").strip()
    view = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
    view["users"][0]["user"] = {"token": token}
    (tmp_path / "kubeconfig").write_text(json.dumps(view))
    code, found = doctor(namespace, config=tmp_path / "kubeconfig")
    assert code == 65
    assert "you may not create workflows" in found["your rights"]["text"]
    for name in ("Argo's controller", "Roles", "executor's token", "ConfigMap colchis", "Secrets colchis-s3-…"):
        assert (found[name]["state"], bool(found[name]["text"])) == ("skipped", True), found[name]


def test_the_bucket_and_the_registry_are_really_tried(namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    bucket = f"colchis-doctor-{uuid.uuid4().hex[:6]}"
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    try:
        words = ["--store", f"s3://{bucket}/a", "--repository", REPOSITORY, "--insecure-registry"]
        _, found = doctor(namespace, *words)
        assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    finally:
        client.delete_bucket(Bucket=bucket)
    places = ("bucket", "conditional writes", "registry")
    assert {name: found[name]["state"] for name in places} == dict.fromkeys(places, "fine"), found
