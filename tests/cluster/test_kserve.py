"""Rollout through KServe in mode Standard: an InferenceService a version, the same route, the same way back."""

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.cluster.conftest import Site
from tests.cluster.installed import AWS, GATEWAY, IMAGES, MANIFESTS, NEEDS_CLUSTER, TAG, kubectl, until
from tests.cluster.overlay import set_up
from tests.examples.iris import ROWS, export_iris
from tests.steps.onnx_models import save, thirds

from colchis_steps._content.plain import publish
from colchis_steps._formats.models import Manifest
from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests import objects
from colchis_steps._serving.client import call
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

ABSENT = "KUBECONFIG" in os.environ and "inferenceservices.serving.kserve.io" not in kubectl("get", "crds", "-o=name")
pytestmark = [*NEEDS_CLUSTER, pytest.mark.skipif(ABSENT, reason="the cluster has no KServe")]


@pytest.fixture(scope="module")
def model(site: Site) -> str:
    """A model of two versions."""
    name = f"kserve-{site.namespace.rpartition('-')[2]}"
    for version in (1, 2):
        site.publish(name, version, f"tiny/{version}")
    return name


def test_versions_come_go_and_come_back(site: Site, model: str) -> None:
    said = site.roll(model, 1, "--target=kserve", "--preheat=true")
    assert "1 of 1 nodes have the image of version 1" in said
    assert site.names("daemonsets") == []
    assert site.ask(model) == 1
    sets = [name.rpartition("-")[0] for name in site.names("replicasets")]
    assert sets == [f"colchis-{model}-1-predictor"], "its pods were started twice"
    site.roll(model, 2, "--target=kserve")
    assert (site.ask(model), site.stable(model)) == (2, (2, 1))
    until(30, "one Deployment", lambda: site.names("deployments") == [f"colchis-{model}-2-predictor"])
    assert site.names("inferenceservices") == [f"colchis-{model}-1", f"colchis-{model}-2"]
    assert site.get("httproutes")["items"][0]["metadata"]["name"] == f"colchis-{model}", "KServe made one of its own"
    back = site.step("colchis_steps.models", "rollback", model, f"--store={site.store.url}")
    assert f"version 1 of {model} answers again after" in back.stderr
    assert (site.ask(model), site.stable(model)) == (1, (1, None))
    assert f"{model} 2 removed" in site.step("colchis_steps.prune", f"--store={site.store.url}", "--hold=0s").stdout
    until(30, "version 1 alone", lambda: site.names("inferenceservices") == [f"colchis-{model}-1"])  # KServe finalizes


def test_a_version_that_does_not_load_leaves_what_was_served(site: Site, model: str) -> None:
    (site.directory / "no-graph").mkdir(exist_ok=True)
    (site.directory / "no-graph/saved_model.pb").write_bytes(b"no graph")
    site.publish(model, 3, "no-graph")
    assert f"version 3 of {model} does not load: " in site.roll(model, 3, "--target=kserve", code=65)
    assert (site.ask(model), site.stable(model)) == (1, (1, None))
    until(30, "version 1 alone", lambda: site.names("inferenceservices") == [f"colchis-{model}-1"])  # KServe finalizes


def test_an_onnx_model_is_served_without_tensorflow(site: Site) -> None:
    model = f"thirds-{site.namespace.rpartition('-')[2]}"
    save(site.directory / "thirds", thirds())
    site.publish(model, 1, "thirds")
    site.roll(model, 1, "--target=kserve", f"--serve-image={IMAGES}/serve-onnx:{TAG}")
    picture = [[0] * 4, [0] * 4, [9] * 4, [0] * 4]
    status, found = call(f"{GATEWAY}/v1/models/{model}:predict", {"instances": [picture]}, timeout=10)
    assert (status, found["predictions"][0]["class"]) == (200, 2)
    asked = {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 4, 4], "data": [picture]}]}
    status, found = call(f"{GATEWAY}/v2/models/{model}/infer", asked, timeout=10)
    assert (status, {one["name"]: one["data"] for one in found["outputs"]}["class"]) == (200, [2])
    (pod,) = site.get("pods", f"--selector=colchis.dev/model={model}")["items"]
    there = "import importlib.util as u; print(u.find_spec('tensorflow'))"
    command = ("exec", pod["metadata"]["name"], "--container=kserve-container", "--", "python", "-c", there)
    assert kubectl("--namespace", site.namespace, *command) == "None\n"


@pytest.mark.long  # a node takes its time to say that a registry has no such image
def test_an_image_that_is_in_no_registry_is_told(site: Site, model: str) -> None:
    repository = site.record(model, 1).image.partition("@")[0]
    site.publish(model, 4, "tiny/3", image=f"{repository}@sha256:{'0' * 64}")
    before = site.names("inferenceservices")
    said = site.roll(model, 4, "--target=kserve", code=65)
    assert "container kserve-container waits, " in said
    assert "not found" in said
    until(30, "what was there before", lambda: site.names("inferenceservices") == before)  # KServe finalizes


@pytest.fixture(scope="module")
def stored(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The place with a bucket as its store, which KServe's storage container reads."""
    bucket, directory = f"colchis-{uuid.uuid4().hex[:6]}", tmp_path_factory.mktemp("iris")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in AWS.items():
            patch.setenv(name, value)
        import boto3

        boto3.client("s3").create_bucket(Bucket=bucket)
        sample = (MANIFESTS / "samples/kserve-storage.yaml").read_text()
        ours = sample.replace("ghcr.io/colchis/storage:0.1.0", f"{IMAGES}/storage:{TAG}")
        kubectl("apply", "--filename=-", given=ours)
        literals = [f"--from-literal={name}={value}" for name, value in AWS.items() if "KEY" not in name]
        kubectl("--namespace", site.namespace, "create", "configmap", "colchis", *literals)
        set_up(f"s3://{bucket}/team", "--identities=serve", "--apply", f"--namespace={site.namespace}")
        yield replace(
            site, store=open_store(f"s3://{bucket}/team"), directory=directory, environment=site.environment | AWS
        )


def test_iris_comes_from_the_bucket_and_answers_over_v1(stored: Site) -> None:
    model = f"iris-{stored.namespace.rpartition('-')[2]}"
    export_iris(stored.directory)
    stored.publish(model, 1, "export")
    publish(stored.store, read_document(stored.store, f"models/{model}/1/manifest.json", Manifest))
    stored.roll(model, 1, "--target=kserve", "--model-volume=storage")
    status, found = call(f"{GATEWAY}/v1/models/{model}:predict", {"instances": ROWS}, timeout=10)
    assert (status, found) == (200, {"predictions": [1, 1]})
    (pod,) = stored.get("pods", f"--selector=colchis.dev/model={model}")["items"]
    assert [one["name"] for one in pod["spec"]["initContainers"]] == ["storage-initializer"]
    assert not [volume for volume in pod["spec"]["volumes"] if "image" in volume]


def test_why_the_storage_container_ended_is_told(stored: Site) -> None:
    model = f"bare-{stored.namespace.rpartition('-')[2]}"
    (stored.directory / "bare").mkdir()
    (stored.directory / "bare" / "saved_model.pb").write_bytes(b"no graph")
    stored.publish(model, 1, "bare")
    said = stored.roll(model, 1, "--target=kserve", "--model-volume=storage", code=65)
    assert "container storage-initializer ended with code 65: " in said
    assert "holds no files; publish the version's plain copy, or serve it by image" in said


def test_what_is_not_ours_is_never_touched(site: Site, model: str) -> None:
    container = {"name": "kserve-container", "image": "scratch.invalid/mine:1"}
    foreign = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": f"colchis-{model}-2", "annotations": {"serving.kserve.io/stop": "true"}},
        "spec": {"predictor": {"containers": [container]}},
    }
    kubectl("--namespace", site.namespace, "create", "--filename=-", given=foreign)
    said = site.roll(model, 2, "--target=kserve", code=65)
    assert f"InferenceService colchis-{model}-2 in namespace {site.namespace} was not made by colchis" in said
    assert site.get("inferenceservice", f"colchis-{model}-2")["spec"]["predictor"]["containers"][0]["image"]
    kubectl("--namespace", site.namespace, "delete", "inferenceservice", f"colchis-{model}-2")
    ports = {"spec": {"ports": [{"port": 80}]}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"colchis-{model}-2-predictor"}}
    kubectl("--namespace", site.namespace, "create", "--filename=-", given=service | ports)
    said = site.roll(model, 2, "--target=kserve", code=65)
    assert f"Service colchis-{model}-2-predictor in namespace {site.namespace} was not made by colchis" in said
    kubectl("--namespace", site.namespace, "delete", "service", f"colchis-{model}-2-predictor")
    assert site.ask(model) == 1


def test_a_budget_and_an_autoscaler_come_and_go_with_the_version(site: Site) -> None:
    model = f"scaled-{site.namespace.rpartition('-')[2]}"
    site.publish(model, 1, "tiny/1")
    options = {"cpu": "50m", "min_available": 1, "max_replicas": 3}
    said = site.roll(model, 1, f"--serve-options={json.dumps(options)}", code=65)
    assert "min_available 1 of 1 pods lets no node be drained" in said
    site.roll(model, 1, f"--serve-options={json.dumps({**options, 'replicas': 2})}")
    names = [f"colchis-{model}-1"]
    assert (site.names("pdb"), site.names("hpa")) == (names, names)
    spec = site.get("hpa", names[0])["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"], spec["scaleTargetRef"]["name"]) == (2, 3, names[0])
    assert site.get("pdb", names[0])["metadata"]["ownerReferences"][0]["name"] == names[0]
    site.roll(model, 1, '--serve-options={"replicas": 1}')
    assert (site.names("pdb"), site.names("hpa")) == ([], [])


def test_the_yaml_for_knative_is_one_that_kserve_takes(site: Site, model: str) -> None:
    words = [*site.rollout(model, 2), "--target=knative", "--action=canary", "--split=1=80,2=20"]
    done = site.step(*words)
    taken = json.loads(
        kubectl(
            *("--namespace", site.namespace, "create", "--dry-run=server", "--validate=strict", "--output=json"),
            "--filename=-",
            given=done.stdout,
        )
    )
    assert (taken["spec"]["predictor"]["canaryTrafficPercent"], taken["spec"]["predictor"]["minReplicas"]) == (20, 0)
    assert "nothing is applied" in done.stderr


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")  # of a test cluster's kubeconfig
def test_a_cluster_without_kserve_is_told_how_to_get_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(objects.KINDS, "InferenceService", ("serving.nowhere.example/v1", "inferenceservices"))
    with pytest.raises(InputError, match=r"no InferenceService of serving\.nowhere\.example/v1; install KServe"):
        Cluster(site.namespace).get("InferenceService", "a")
    assert not Cluster(site.namespace).knows("InferenceService")
    assert Cluster(site.namespace).knows("Deployment")
    assert not Cluster(site.namespace).knows("ImagePullJob")
