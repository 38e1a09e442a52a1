"""Targets and runtimes as values: what KServe, Seldon and TensorFlow Serving are given."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.steps.registered import put_on_record

from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.models import Alias, Code, File, Manifest, Record, tree_digest
from colchis_steps._manifests.deployment import Deployed, deployment
from colchis_steps._manifests.kserve import inference_service, knative, shortcoming, storage_uri
from colchis_steps._manifests.objects import again
from colchis_steps._manifests.preheat import daemon_set, pull_job
from colchis_steps._manifests.route import HeaderRoute
from colchis_steps._manifests.runtime import pods, runtime_of
from colchis_steps._manifests.scaling import autoscaler, budget
from colchis_steps._manifests.seldon import seldon_deployments
from colchis_steps._manifests.serve_options import ServeOptions, check_replicas, serve_options
from colchis_steps._manifests.tensorflow_serving import batching_config, files, release
from colchis_steps._rollout.checks import inputs_of_v1
from colchis_steps._rollout.options import Options, deployed_as, server_config
from colchis_steps._rollout.preheating import counted
from colchis_steps._rollout.rendered import as_yaml
from colchis_steps._rollout.targets.kserve import replicas, scaled
from colchis_steps._savedmodel.versions import judge_versions
from colchis_steps._serving.config import Config
from colchis_steps._step.errors import InputError
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store
from colchis_steps.rollout import main as rollout

GOLDEN = Path(__file__).parents[2] / "golden"
IMAGE = f"registry.example/models/digits@sha256:{'a' * 64}"
SERVING = f"docker.io/tensorflow/serving:2.20.0@sha256:{'b' * 64}"
SERVED = Deployed("digits", 2, "run-1", IMAGE, "registry.example/serve:1", replicas=2)
BESIDE = msgspec.structs.replace(SERVED, version=1, run="run-0")
GROWING = msgspec.structs.replace(SERVED, options=ServeOptions(min_available=1, max_replicas=4, cpu_percent=60))
OWNER = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "colchis-digits-2", "uid": "u-1"}}


def test_an_inference_service_is_the_deployments_pod_in_mode_standard() -> None:
    made = inference_service(SERVED, "{}")
    predictor, pod = made["spec"]["predictor"], deployment(SERVED, "{}")["spec"]["template"]["spec"]
    assert made["metadata"]["name"] == "colchis-digits-2"
    assert made["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    annotations = {key.rpartition("/")[2]: value for key, value in made["metadata"]["annotations"].items()}
    assert annotations.items() >= {"deploymentMode": "Standard", "autoscalerClass": "none", "stop": "false"}.items()
    assert predictor["volumes"] == pod["volumes"]
    assert predictor["containers"] == [{**pod["containers"][0], "name": "kserve-container"}]
    assert (predictor["minReplicas"], predictor["automountServiceAccountToken"]) == (2, False)
    assert "maxReplicas" not in predictor
    growing = inference_service(GROWING, "{}")
    assert growing["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "hpa"
    assert (growing["spec"]["predictor"]["maxReplicas"], growing["spec"]["predictor"]["scaleTarget"]) == (4, 60)


def test_kserves_storage_container_gets_the_versions_place_in_the_bucket() -> None:
    stored = msgspec.structs.replace(SERVED, volume="storage", store="s3://bucket/team/", tree="sha256:7")
    predictor = inference_service(stored, "{}")["spec"]["predictor"]
    uri = {"name": "STORAGE_URI", "value": "colchis+s3://bucket/team/models/digits/2@sha256:7"}
    assert uri in predictor["containers"][0]["env"]
    assert (stored.path, [volume["name"] for volume in predictor["volumes"]]) == (
        "/mnt/models/2",
        ["tmp", "config", "keys"],
    )
    with pytest.raises(InputError, match="reads buckets, not file:///store; give --model-volume=image"):
        storage_uri(msgspec.structs.replace(stored, store="file:///store"))


def test_a_version_rests_by_kserves_stop_and_keeps_its_number_of_pods() -> None:
    made = inference_service(SERVED, "{}")
    assert replicas(made) == 2
    rest = scaled(0, {"a": "b"})
    assert rest == {"metadata": {"annotations": {"a": "b", "serving.kserve.io/stop": "true"}}}
    assert replicas({**made, **rest}) == 0
    assert scaled(3, {})["spec"] == {"predictor": {"minReplicas": 3}}


def test_what_kserve_says_is_told_by_the_conditions_type() -> None:
    ready = [{"type": "Ready", "status": "True"}, {"type": "PredictorReady", "status": "True"}]
    found: dict[str, Any] = {"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "conditions": ready}}
    assert "does it run?" in shortcoming(found)
    found["status"]["observedGeneration"] = 2
    assert shortcoming(found) == ""
    ready[1] |= {"status": "False", "message": "no quota"}
    assert shortcoming(found) == "PredictorReady is False, no quota"


def rendered(name: str, documents: list[Any]) -> None:
    assert as_yaml(documents) == (GOLDEN / name).read_text()


def test_the_yaml_for_knative() -> None:
    rendered("rollout-knative.yaml", [knative(GROWING, '{"models":{}}', 10)])


def test_the_yaml_for_seldon() -> None:
    versions = {1: (BESIDE, '{"models":{}}'), 2: (GROWING, '{"models":{}}')}
    headers = (HeaderRoute("style", "transfer", 2),)
    found = seldon_deployments(versions, {1: 90, 2: 10}, headers=headers)
    assert [predictor["traffic"] for predictor in found[0]["spec"]["predictors"]] == [90, 10]
    rendered("rollout-seldon.yaml", found)
    (mirrored,) = seldon_deployments(versions, {1: 100, 2: 0}, mirror=2)
    assert [(one["name"], one.get("shadow")) for one in mirrored["spec"]["predictors"]] == [
        ("version-1", None),
        ("version-2", True),
    ]


def test_the_pods_of_tensorflow_serving() -> None:
    served = msgspec.structs.replace(SERVED, runtime="tensorflow-serving", serve_image=SERVING)
    rendered("rollout-tensorflow-serving.yaml", [pods(served, "{}")])
    assert release(SERVING) == "2.20.0"
    for image in ("docker.io/tensorflow/serving:2.20.0", SERVING.replace(":2.20.0", ""), "x:latest@sha256:1"):
        with pytest.raises(InputError, match="does not name tensorflow/serving by release and digest"):
            release(image)


def test_the_files_of_tensorflow_serving_are_what_its_protocol_buffers_say() -> None:
    """The field numbers and types are those of TensorFlow Serving's published .proto files."""
    from google.protobuf import text_format
    from tests.steps.serving_protos import message

    served = msgspec.structs.replace(SERVED, runtime="tensorflow-serving")
    texts = files(served)
    config = text_format.Parse(texts["models.config"], message("ModelServerConfig"))
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("digits", "/models/digits", "tensorflow")
    assert list(model.model_version_policy.specific.versions) == [2]
    assert {label.key: label.value for label in model.version_labels} == {"stable": 2, "canary": 2}
    batching = text_format.Parse(texts["batching.config"], message("BatchingParameters"))
    assert (batching.max_batch_size.value, batching.batch_timeout_micros.value) == (32, 2000)
    monitoring = text_format.Parse(texts["monitoring.config"], message("MonitoringConfig"))
    assert (monitoring.prometheus_config.enable, monitoring.prometheus_config.path) == (True, "/metrics")
    assert "batch_timeout_micros { value: 500 }" in batching_config(8, 0.5)


@pytest.mark.parametrize(
    ("exporter", "server", "warned"),
    [
        ("2.21.0", "2.21.3", False),
        ("2.20.1", "2.21.0", False),
        ("2.21.0", "2.20.0", True),
        ("2.21.0-rc1", "2.20", True),
    ],
)
def test_a_server_that_is_one_minor_behind_is_warned_of(exporter: str, server: str, warned: bool) -> None:
    assert ("one minor older" in judge_versions(exporter, server)) == warned


@pytest.mark.parametrize(
    ("exporter", "server", "sentence"),
    [
        ("2.21.0", "2.19.0", r"TensorFlow 2\.21\.0 exported the model and 2\.19\.0 would serve it; that is too far"),
        ("3.0.0", "2.21.0", "too far apart: serve it with 3.0 or newer"),
        ("2.21.0", "3.0.0", "too far apart"),
        ("new", "2.21.0", "'new' is not a version of TensorFlow"),
    ],
)
def test_a_server_that_is_further_behind_is_refused(exporter: str, server: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        judge_versions(exporter, server)


def test_a_budget_and_an_autoscaler_belong_to_the_version() -> None:
    assert budget(SERVED, OWNER) is None
    assert autoscaler(SERVED, OWNER) is None
    kept, grown = budget(GROWING, OWNER), autoscaler(GROWING, OWNER)
    assert kept
    assert grown
    assert kept["metadata"]["ownerReferences"][0] == {
        **{key: OWNER[key] for key in ("apiVersion", "kind")},
        "name": "colchis-digits-2",
        "uid": "u-1",
    }
    assert (kept["spec"]["minAvailable"], kept["spec"]["selector"]["matchLabels"]) == (1, GROWING.selector)
    assert (grown["spec"]["minReplicas"], grown["spec"]["maxReplicas"]) == (2, 4)
    assert grown["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 60


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "serve options '{'"),
        ("[]", "give JSON like"),
        ('{"replica": 1}', "there are cpu, memory"),
        ('{"cpu": "much"}', '- at `$.cpu`; give JSON like {"cpu": "500m"'),
        ('{"memory": 4}', "Expected `str`"),
        ('{"min_available": -1}', "Expected `int` >= 0 - at `$.min_available`"),
        ('{"log_requests": 1.5}', "Expected `float` <= 1.0 - at `$.log_requests`"),
        ('{"log_requests": -1}', "Expected `float` >= 0.0 - at `$.log_requests`"),
        ('{"startup_seconds": 0}', "Expected `int` >= 1 - at `$.startup_seconds`"),
        ('{"allow_operations": "ReadFile"}', "Expected `array`"),
        ('{"allow_operations": ["$(KEY)"]}', "matching regex"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(text: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        serve_options(text)
    assert sentence in str(refused.value)


def test_options_reach_the_pods() -> None:
    given = {"cpu": "2", "memory": "3Gi", "memory_limit": "4Gi", "startup_seconds": 9, "ready_seconds": 5}
    served = msgspec.structs.replace(SERVED, options=serve_options(json.dumps(given)))
    (server,) = deployment(served, "{}")["spec"]["template"]["spec"]["containers"]
    assert server["resources"] == {"requests": {"cpu": "2", "memory": "3Gi"}, "limits": {"memory": "4Gi"}}
    assert (server["startupProbe"]["failureThreshold"], server["readinessProbe"]["periodSeconds"]) == (9, 5)


def test_what_a_model_may_do_reaches_the_server_and_its_size_the_copier(store: Objects) -> None:
    manifest = Manifest("digits", 2, "run-1", (File("saved_model.pb", 700, "0" * 64),), "sha256:t", now(), {}, ())
    record = Record(
        "digits", 2, "run-1", IMAGE, "", "", "", "", "", "", Code("m:f"), {}, {}, "pass", {}, {}, "", "", now()
    )
    options = Options(
        serve_image="registry.example/serve:1", volume="copy", pods=serve_options('{"allow_operations": ["ReadFile"]}')
    )
    deployed = deployed_as(store, (manifest, record), IMAGE, options, 1)
    config = msgspec.json.decode(server_config(deployed, manifest, record), type=Config)
    assert config.models["digits"].entry(2).allow_operations == ("ReadFile",)
    (copier,) = deployment(deployed, "{}")["spec"]["template"]["spec"]["initContainers"]
    assert "--most-bytes=700" in copier["args"]
    plain = msgspec.structs.replace(deployed, options=ServeOptions())
    assert "allow_operations" not in server_config(plain, manifest, record), "a server of the release before reads it"


def test_pods_that_keep_requests_get_the_stores_settings_and_no_others_do() -> None:
    kept = msgspec.structs.replace(SERVED, store="s3://bucket/team", options=ServeOptions(log_requests=0.01))
    (server,) = pods(kept, "{}")["spec"]["template"]["spec"]["containers"]
    assert server["args"][-2:] == ["--log-requests=0.01", "--log-to=s3://bucket/team"]
    assert server["envFrom"] == [{"configMapRef": {"name": "colchis", "optional": True}}]
    assert {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/var/run/colchis/s3/credentials"} in server["env"]
    assert {"name": "keys", "mountPath": "/var/run/colchis/s3", "readOnly": True} in server["volumeMounts"]
    (keys,) = [one for one in pods(kept, "{}")["spec"]["template"]["spec"]["volumes"] if one["name"] == "keys"]
    secrets = [source["secret"] for source in keys["projected"]["sources"]]
    assert [secret["name"] for secret in secrets] == ["colchis-s3", "colchis-requests", "colchis-s3-serve"]
    assert all(secret["optional"] for secret in secrets)
    pod = pods(SERVED, "{}")["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    assert "envFrom" not in server
    assert "keys" not in [one["name"] for one in (*pod["volumes"], *server["volumeMounts"])]
    assert not [word for word in server["args"] if word.startswith("--log")]
    with pytest.raises(InputError, match="pods cannot keep requests in file:///store; leave log_requests out"):
        pods(msgspec.structs.replace(kept, store="file:///store"), "{}")
    with pytest.raises(InputError, match="tensorflow-serving keeps no requests; leave log_requests out"):
        pods(msgspec.structs.replace(kept, runtime="tensorflow-serving", serve_image=SERVING), "{}")


def test_a_version_says_which_runtime_it_has() -> None:
    other = msgspec.structs.replace(SERVED, runtime="tensorflow-serving", serve_image=SERVING)
    for deployed in (SERVED, other):
        assert runtime_of(pods(deployed, "{}")) == deployed.runtime
        assert runtime_of(again(inference_service(deployed, "{}"))) == deployed.runtime
    assert runtime_of(None) == runtime_of({"metadata": {}}) == "embedded"


def test_pods_that_no_drain_or_no_growth_can_meet_are_refused() -> None:
    check_replicas(GROWING.options, 2)
    with pytest.raises(InputError, match="min_available 1 of 1 pods lets no node be drained"):
        check_replicas(GROWING.options, 1)
    with pytest.raises(InputError, match="max_replicas 4 is below the 5 pods"):
        check_replicas(GROWING.options, 5)


def test_preheating_pulls_by_a_pod_a_node_or_by_openkruise() -> None:
    rendered("rollout-preheat.yaml", [daemon_set(SERVED), pull_job(SERVED, 300)])
    labels = daemon_set(SERVED)["spec"]["template"]["metadata"]["labels"]
    assert not SERVED.selector.items() <= labels.items(), "the version's Service would send requests to it"
    new = {"kind": "DaemonSet", "metadata": {"generation": 1}}
    assert counted(new) == (0, 0, False)
    status = {"observedGeneration": 1, "desiredNumberScheduled": 3, "numberReady": 2}
    assert counted({**new, "status": status}) == (3, 2, True)
    job = {"kind": "ImagePullJob", "status": {"desired": 3, "succeeded": 3, "startTime": "2026-01-01T00:00:00Z"}}
    assert counted(job) == (3, 3, True)
    assert counted({"kind": "ImagePullJob"}) == (0, 0, False)


def test_the_inputs_are_known_from_the_metadata_of_tensorflow_serving() -> None:
    """As its REST API documents it (https://www.tensorflow.org/tfx/serving/api_rest)."""
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "4", "name": ""}], "unknown_rank": False}
    lengths = {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "serving_default_lengths:0"}
    count = {"dtype": "DT_UINT8", "tensor_shape": {"dim": [{"size": "-1"}], "unknown_rank": False}, "name": "c:0"}
    signature = {
        "inputs": {"lengths": lengths, "count": count},
        "outputs": {},
        "method_name": "tensorflow/serving/predict",
    }
    metadata = {"signature_def": {"signature_def": {"serving_default": signature}}}
    assert inputs_of_v1({"model_spec": {"name": "iris"}, "metadata": metadata}) == [
        {"name": "count", "datatype": "INT64", "shape": [-1]},
        {"name": "lengths", "datatype": "FP32", "shape": [-1, 4]},
    ]


def a_version(store: Objects, version: int, kind: str = "savedmodel", **frameworks: str) -> str:
    """Publish a version's documents; give its image."""
    image = f"registry.example/models/digits@sha256:{version:064}"
    manifest = Manifest("digits", version, "r", (), tree_digest([]), now(), format=kind)
    put_on_record(store, manifest, image, frameworks=frameworks)
    return image


def rolled(store: Objects, version: int, image: str, *flags: str) -> int:
    about = [f"--store={store.url}", "--run=r1", "--model=digits", f"--version={version}", f"--image={image}"]
    return rollout([*about, "--target=seldon", "--serve-image=registry.example/serve:1", *flags])


def test_a_target_that_only_writes_yaml_says_so_and_moves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path.as_uri())
    first = a_version(store, 1)
    store.write("models/digits/aliases/stable.json", encode(Alias("digits", 1, now(), None, "r", first)))
    caplog.set_level("INFO")
    assert rolled(store, 2, a_version(store, 2), "--action=canary", "--steps=25,100") == 0
    text = capsys.readouterr().out
    (document,) = yaml.safe_load_all(text)
    assert [one["traffic"] for one in document["spec"]["predictors"]] == [75, 25]
    assert (tmp_path / "runs/r1/seldon.yaml").read_text() == text
    assert "nothing is applied: the YAML of digits 2 is above, and in runs/r1/" in caplog.text
    assert b'"version":1' in store.read("models/digits/aliases/stable.json")


@pytest.mark.parametrize(("was", "becomes"), [("savedmodel", "onnx"), ("onnx", "savedmodel")])
def test_a_canary_of_one_format_beside_a_version_of_the_other_has_a_server_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, was: str, becomes: str
) -> None:
    servers = {"savedmodel": "registry.example/serve:1", "onnx": "registry.example/serve-onnx:1"}
    monkeypatch.setenv("COLCHIS_SERVER_IMAGE", servers["savedmodel"])
    monkeypatch.setenv("COLCHIS_SERVER_IMAGE_ONNX", servers["onnx"])
    store = open_store(tmp_path.as_uri())
    store.write(
        "models/digits/aliases/stable.json", encode(Alias("digits", 1, now(), None, "r", a_version(store, 1, was)))
    )
    about = [f"--store={store.url}", "--run=r1", "--model=digits", "--version=2", "--serve-image="]
    image = a_version(store, 2, becomes)
    assert rollout([*about, f"--image={image}", "--target=seldon", "--action=canary", "--steps=25,100"]) == 0
    (document,) = yaml.safe_load_all(capsys.readouterr().out)
    containers = [one["componentSpecs"][0]["spec"]["containers"] for one in document["spec"]["predictors"]]
    assert [container["image"] for (container,) in containers] == [servers[was], servers[becomes]]


def test_tensorflow_serving_of_the_wrong_release_is_refused_before_anything_is_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path.as_uri())
    image = a_version(store, 1, tensorflow="2.22.0")
    serving = ["--runtime=tensorflow-serving", f"--serve-image={SERVING}"]
    assert rolled(store, 1, image, *serving) == 65
    assert "TensorFlow 2.22.0 exported the model and 2.20.0 would serve it" in caplog.text
    caplog.clear()
    assert rolled(store, 2, a_version(store, 2, tensorflow="2.21.0"), *serving) == 0
    assert "one minor older" in caplog.text
    assert rolled(store, 2, image, *serving) == 65  # another version's image
    assert rolled(store, 3, image) == 65  # not published


@pytest.mark.parametrize(
    "flags",
    [
        ["--target=local", "--runtime=tensorflow-serving"],
        ["--target=deployment", "--model-volume=storage"],
        ["--target=seldon", "--action=rollback"],
    ],
)
def test_what_does_not_go_together_is_a_usage_error(flags: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        rollout(["--store=file:///s", "--run=r", "--model=digits", "--version=1", f"--image={IMAGE}", *flags])
