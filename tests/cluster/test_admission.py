"""What the accounts with a token may make where the admission component is: each asks the API server by its own token.

Everything is a server-side dry run, which admission judges like the real thing.
"""

import copy
import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from tests.cluster.conftest import account
from tests.cluster.installed import MANIFESTS, NEEDS_CLUSTER, PATIENCE, has, kubectl, until

from colchis_steps._manifests.deployment import Deployed, service
from colchis_steps._manifests.kserve import inference_service
from colchis_steps._manifests.objects import KINDS
from colchis_steps._manifests.preheat import daemon_set
from colchis_steps._manifests.runtime import pods
from colchis_steps._manifests.serve_options import ServeOptions
from colchis_steps._manifests.training import Training
from colchis_steps._manifests.training_beside import beside
from colchis_steps._manifests.training_jobs import job

pytestmark = NEEDS_CLUSTER
Object = dict[str, Any]
Ask = Callable[..., str]
SERVED = MANIFESTS / "components" / "served-digests" / "policy.yaml"
POLICIES = MANIFESTS / "components" / "admission" / "policies.yaml"
IMAGE = f"registry.registry.svc:5000/models/digits@sha256:{'0' * 64}"
BACKENDS = ("indexed-job", "jobset", "trainjob", "tfjob", "pytorchjob")
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted", "colchis.dev/admission": "enforced"}


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace with the accounts, the component's policies, and what somebody else made there."""
    name = f"colchis-admission-{uuid.uuid4().hex[:6]}"
    there = "validatingadmissionpolicies", "--output=jsonpath={.items[*].metadata.name}"
    ours = "colchis-pods" not in kubectl("get", *there).split()
    kubectl("create", "--filename=-", given={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        kubectl("label", "namespace", name, *(f"{key}={value}" for key, value in RESTRICTED.items()))
        kubectl("--namespace", name, "apply", "--filename", str(MANIFESTS / "base" / "accounts.yaml"))
        kubectl("apply", "--filename", str(POLICIES))
        kubectl("--namespace", name, "create", "service", "clusterip", "somebodys", "--tcp=80")
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
        if ours:
            kubectl("delete", "--filename", str(POLICIES), "--wait=false")


@pytest.fixture(scope="module")
def ask(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Return what asks the API server for an object as an account, and gives what it says; "" where it may be."""
    home = tmp_path_factory.mktemp("accounts")
    configs = {name: account(namespace, name, home / name) for name in ("colchis-train", "colchis-rollout")}

    def asked(by: str, thing: Object, verb: str = "create") -> str:
        words = ["kubectl", "--kubeconfig", str(configs[by]), verb, "--dry-run=server", "--filename=-"]
        if verb == "apply":
            words += ["--server-side", "--field-manager=colchis", "--force-conflicts"]
        done = subprocess.run(
            words, input=json.dumps(thing), capture_output=True, text=True, timeout=60 * PATIENCE, check=False
        )
        return done.stderr if done.returncode else ""

    until(
        60, "the policies' first refusal", lambda: "no token" in asked("colchis-train", attack(serviceAccountName="x"))
    )
    return asked


@pytest.fixture(scope="module")
def serving(ask: Ask, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Return what asks likewise where only registered digests serve: as an account, or as a developer with all rights.

    ``register``'s account has written one digest into the list.
    """
    home = tmp_path_factory.mktemp("serving")
    ours = "colchis-served" not in kubectl("get", "validatingadmissionpolicies", "--output=name")
    kubectl("--namespace", namespace, "apply", "--filename", str(SERVED))
    kubectl("--namespace", namespace, "create", "serviceaccount", "developer")
    kubectl("--namespace", namespace, "create", "rolebinding", "developer", "--clusterrole=cluster-admin",
            f"--serviceaccount={namespace}:developer")  # fmt: skip
    configs = {
        name: account(namespace, name, home / name) for name in ("colchis-publish", "colchis-rollout", "developer")
    }
    entry = json.dumps({"data": {IMAGE.partition("@")[2].replace(":", "-"): "digits/1"}})
    words = ["patch", "configmap", "colchis-served", "--type=merge", f"--patch={entry}"]

    def run(by: str, *words: str, given: Object | None = None) -> str:
        command = ["kubectl", "--kubeconfig", str(configs[by]), *words]
        done = subprocess.run(
            command, input=json.dumps(given), capture_output=True, text=True, timeout=60 * PATIENCE, check=False
        )
        return done.stderr if done.returncode else ""

    assert "forbidden" in run("colchis-rollout", *words), "only register's account writes it"
    assert run("colchis-publish", *words) == ""

    def asked(by: str, thing: Object) -> str:
        dry = ("--server-side", "--field-manager=colchis", "--force-conflicts", "--dry-run=server", "--filename=-")
        return run(by, "apply", *dry, given=thing)

    try:
        until(60, "the policy's first refusal", lambda: "only colchis-rollout" in asked("developer", served(IMAGE)))
        yield asked
    finally:
        if ours:
            kubectl("delete", "--filename", str(SERVED), "--namespace", namespace, "--wait=false")


def served(image: str, volume: str = "image") -> Object:
    """Return the Deployment of a version with this image."""
    return pods(Deployed("digits", 1, "run-1", image, "docker.io/library/python:3.13-slim", volume=volume), "{}")


def training(backend: str) -> Training:
    return Training(
        backend, "run-1", "digits", 2, "docker.io/library/python:3.13-slim", ["--x=y"], account="colchis-worker"
    )


def spec_of(thing: Object) -> Object:
    """Return the specification of the (first) pods that an object is about."""
    spec = thing["spec"]
    for key in ("tfReplicaSpecs", "pytorchReplicaSpecs"):
        spec = spec[key]["Worker"] if key in spec else spec
    if "predictor" in spec:
        return spec["predictor"]  # type: ignore[no-any-return]
    spec = spec["template"]["spec"] if thing["kind"] == "TrainingRuntime" else spec
    spec = spec["replicatedJobs"][0]["template"]["spec"] if "replicatedJobs" in spec else spec
    return spec["template"]["spec"]  # type: ignore[no-any-return]


def attack(backend: str = "indexed-job", **more: Any) -> Object:
    thing = next(found for found in [*beside(training(backend)), job(training(backend))] if has_pods(found))
    changed = copy.deepcopy(thing)
    spec_of(changed).update(more)
    return changed


def has_pods(thing: Object) -> bool:
    return thing["kind"] not in {"NetworkPolicy", "Service", "TrainJob"}


def privileged(spec: Object) -> Object:
    (container,) = copy.deepcopy(spec["containers"])
    return {"containers": [{**container, "securityContext": {"privileged": True}}]}


def reading(spec: Object, secret: str) -> Object:
    (container,) = copy.deepcopy(spec["containers"])
    return {"containers": [{**container, "envFrom": [{"secretRef": {"name": secret}}]}]}


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_training_makes_passes_and_attacks_by_its_kind_do_not(ask: Ask, namespace: str, backend: str) -> None:
    if not has(backend):
        pytest.skip(f"the cluster has no {backend}")
    for thing in beside(training(backend)):
        assert ask("colchis-train", thing) == "", thing["kind"]
        if thing["kind"] == "TrainingRuntime":  # without it nobody may make the TrainJob
            kubectl("--namespace", namespace, "create", "--filename=-", given=thing)
    assert ask("colchis-train", job(training(backend))) == ""
    spec = spec_of(attack(backend))
    volume = {"name": "host", "hostPath": {"path": "/"}}
    secret = {"name": "s", "secret": {"secretName": "somebodys"}}
    token = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    for more, why in (
        ({"serviceAccountName": "colchis-rollout"}, "have no token, and one of the accounts"),
        ({"automountServiceAccountToken": True}, "have no token, and one of the accounts"),
        ({"volumes": [*spec["volumes"], volume]}, "name no Secret but"),
        ({"volumes": [*spec["volumes"], secret]}, "name no Secret but"),
        ({"volumes": [*spec["volumes"], token]}, "name no Secret but"),
        ({"imagePullSecrets": [{"name": "somebodys"}]}, "name no Secret but"),
        ({"hostNetwork": True}, "share nothing with their node"),
        ({"hostPID": True}, "share nothing with their node"),
        (privileged(spec), "have no privilege"),
        (reading(spec, "somebodys"), "name no Secret but"),
    ):
        assert why in ask("colchis-train", attack(backend, **more)), more


def test_a_trainjob_runs_its_own_runtime_and_changes_nothing_of_it(ask: Ask) -> None:
    if not has("trainjob"):
        pytest.skip("the cluster has no trainjob")
    thing = job(training("trainjob"))
    thing["spec"]["runtimeRef"] = {"apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime", "name": "x"}
    assert "runs the TrainingRuntime of its own name" in ask("colchis-train", thing)
    pods = {"template": {"spec": {"serviceAccountName": "colchis-rollout"}}}
    patched = {"template": {"spec": {"replicatedJobs": [{"name": "node", "template": {"spec": pods}}]}}}
    key = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "somebodys", "key": "key"}}}
    for more in (
        {"runtimePatches": [{"manager": "example.org/somebody", "trainingRuntimeSpec": patched}]},
        {"trainer": {"numNodes": 2, "env": [key]}},
        {"initializer": {"dataset": {"storageUri": "s3://b/p", "secretRef": {"name": "somebodys"}}}},
    ):
        thing = job(training("trainjob"))
        thing["spec"] |= more
        assert "adds nothing to its runtime's pods" in ask("colchis-train", thing), more


def test_a_training_repoints_no_service_and_opens_no_network(ask: Ask, namespace: str) -> None:
    kubectl("--namespace", namespace, "apply", "--filename", str(MANIFESTS / "base" / "network-policies.yaml"))
    (names,) = [thing for thing in beside(training("indexed-job")) if thing["kind"] == "Service"]
    (policy,) = [thing for thing in beside(training("indexed-job")) if thing["kind"] == "NetworkPolicy"]
    theirs = copy.deepcopy(names)
    theirs["metadata"]["name"] = "somebodys"
    del theirs["spec"]["clusterIP"]
    assert "what Colchis did not make is not its to change" in ask("colchis-train", theirs, "apply")
    model = copy.deepcopy(names)
    model["spec"] = {"selector": {"app.kubernetes.io/name": "colchis-model"}, "ports": [{"port": 80}]}
    assert "and finds its workers" in ask("colchis-train", model)
    opened = copy.deepcopy(policy)
    opened["metadata"]["name"] = "colchis-steps"
    assert "network policies of trainings alone" in ask("colchis-train", opened, "apply")


def test_what_a_rollout_makes_passes_and_a_privileged_daemon_set_does_not(ask: Ask) -> None:
    deployed = [
        Deployed("digits", 1, "run-1", IMAGE, "docker.io/library/python:3.13-slim", volume=volume, store="s3://b/p",
                 options=ServeOptions(log_requests=0.5))
        for volume in ("image", "copy")
    ]  # fmt: skip
    for one in deployed:
        for thing in (pods(one, "{}"), service(one), daemon_set(one)):
            assert ask("colchis-rollout", thing, "apply") == "", thing["kind"]
    thing = daemon_set(deployed[0])
    spec_of(thing).update(privileged(spec_of(thing)))
    assert "have no privilege" in ask("colchis-rollout", thing, "apply")
    thing = pods(deployed[0], "{}")
    spec_of(thing)["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    assert "name no Secret but" in ask("colchis-rollout", thing, "apply")


def test_what_somebody_else_made_is_neither_changed_nor_deleted(ask: Ask, namespace: str) -> None:
    one = Deployed("digits", 1, "run-1", IMAGE, "docker.io/library/python:3.13-slim")
    kubectl("--namespace", namespace, "create", "--filename=-", given=service(one))
    assert ask("colchis-rollout", service(one), "delete") == "", "its own may go"
    thing = service(one)
    thing["metadata"]["name"] = "somebodys"
    assert "what Colchis did not make is not its to change" in ask("colchis-rollout", thing, "apply")
    assert "what Colchis did not make is not its to change" in ask("colchis-rollout", thing, "delete")
    thing = service(one)
    thing["spec"]["type"] = "NodePort"
    assert "an address of the cluster alone" in ask("colchis-rollout", thing, "apply")


@pytest.mark.parametrize("volume", ["image", "copy"])
def test_only_a_registered_digest_serves_and_only_by_a_rollout(serving: Ask, volume: str) -> None:
    assert serving("colchis-rollout", served(IMAGE, volume)) == ""
    other = IMAGE.replace("0" * 64, "1" * 64)
    for image in (other, IMAGE.partition("@")[0] + ":latest"):
        assert "not among the digests that register wrote" in serving("colchis-rollout", served(image, volume))
    assert "only colchis-rollout serves a model here" in serving("developer", served(IMAGE, volume))


def test_a_pod_made_by_hand_serves_neither_by_its_volume_nor_by_its_labels(serving: Ask) -> None:
    template = served(IMAGE)["spec"]["template"]
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": template["spec"]}
    assert "only colchis-rollout serves a model here" in serving("developer", pod)
    (container,) = template["spec"]["containers"]
    bare = {**template["spec"], "volumes": [], "containers": [{**container, "volumeMounts": []}]}
    plain: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": bare}
    assert serving("developer", plain) == "", "what serves nothing is nobody's business"
    plain["metadata"]["labels"] = template["metadata"]["labels"]
    assert "only colchis-rollout serves a model here" in serving("developer", plain)
    deployment = served(IMAGE, "copy")
    del deployment["metadata"]["annotations"], deployment["spec"]["template"]["metadata"]["annotations"]
    deployment["spec"]["template"]["spec"]["initContainers"] = []
    assert "names its model's image" in serving("colchis-rollout", deployment)


def test_without_the_list_nothing_serves(serving: Ask, namespace: str) -> None:
    kept = json.loads(kubectl("--namespace", namespace, "get", "configmap", "colchis-served", "--output=json"))
    kubectl("--namespace", namespace, "delete", "configmap", "colchis-served")
    try:
        until(60, "a refusal", lambda: "no params found" in serving("colchis-rollout", served(IMAGE)))
    finally:
        for key in ("resourceVersion", "uid", "creationTimestamp"):
            kept["metadata"].pop(key, None)
        kubectl("--namespace", namespace, "create", "--filename=-", given=kept)
    until(60, "the list again", lambda: serving("colchis-rollout", served(IMAGE)) == "")


def test_an_inference_service_is_held_likewise(ask: Ask) -> None:
    if KINDS["InferenceService"][1] not in kubectl("get", "crds", "--output=name"):
        pytest.skip("the cluster has no InferenceServices")
    one = Deployed("digits", 1, "run-1", IMAGE, "docker.io/library/python:3.13-slim", volume="copy")
    assert ask("colchis-rollout", inference_service(one, "{}"), "apply") == ""
    thing = inference_service(one, "{}")
    thing["spec"]["predictor"]["serviceAccountName"] = "colchis-train"
    assert "have no token" in ask("colchis-rollout", thing, "apply")


def test_every_template_s_pod_but_kaniko_s_passes_the_restricted_profile(namespace: str) -> None:
    """Pod Security is what refuses; each template's pod is asked for with its own settings."""
    for path in sorted((MANIFESTS / "base").glob("colchis-*.yaml")):
        for template in yaml.safe_load(path.read_text())["spec"]["templates"]:
            if "container" not in template:
                continue
            main = {**template["container"], "name": "main", "image": "x", "args": []}
            before = [{**one, "image": "x", "args": []} for one in template.get("initContainers", [])]
            spec = {
                "securityContext": template["securityContext"],
                "volumes": template["volumes"],
                "automountServiceAccountToken": False,
                "serviceAccountName": template["serviceAccountName"],
                "containers": [main],
                "initContainers": before,
            }
            name = f"{path.stem}-{template['name']}"
            made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
            words = ["kubectl", "--namespace", namespace, "create", "--dry-run=server", "--filename=-"]
            done = subprocess.run(
                words, input=json.dumps(made), capture_output=True, text=True, timeout=60, check=False
            )
            if template["name"] == "kaniko":
                assert 'violates PodSecurity "restricted:latest"' in done.stderr
            else:
                assert (done.returncode, done.stderr) == (0, ""), name
