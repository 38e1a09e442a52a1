"""The manifests that serve a version on a cluster, as values."""

import json
from typing import Any

import pytest

from colchis_steps._manifests import objects
from colchis_steps._manifests.deployment import Deployed, deployment, service
from colchis_steps._manifests.objects import again, run_label
from colchis_steps._manifests.runtime import pods
from colchis_steps._manifests.serve_options import ServeOptions
from colchis_steps._step.errors import InputError

IMAGE = f"registry.example/models/digits@sha256:{'a' * 64}"
SERVED = Deployed("digits", 2, "run-1", IMAGE, "registry.example/serve:1", replicas=3)


def pod(deployed: Deployed) -> dict[str, Any]:
    spec: dict[str, Any] = deployment(deployed, "{}")["spec"]["template"]["spec"]
    return spec


def test_the_model_is_mounted_from_its_image_where_the_server_looks_for_it() -> None:
    spec = pod(SERVED)
    assert spec["volumes"][0] == {"name": "model", "image": {"reference": IMAGE, "pullPolicy": "IfNotPresent"}}
    assert spec["containers"][0]["volumeMounts"][0] == {
        "name": "model",
        "mountPath": "/models/digits/2",
        "subPath": "models/1",
        "readOnly": True,
    }
    assert spec["initContainers"] == []


@pytest.mark.parametrize("insecure", [True, False])
def test_or_it_is_copied_by_an_init_container_that_has_the_registry_login(insecure: bool) -> None:
    spec = pod(Deployed("digits", 2, "run-1", IMAGE, "registry.example/serve:1", volume="copy", insecure=insecure))
    (copier,) = spec["initContainers"]
    assert copier["command"] == ["python", "-m", "colchis_steps.unpack"]
    plain = f"--insecure-registry={str(insecure).lower()}"
    assert copier["args"] == [f"--image={IMAGE}", "--to=/models/digits/2", plain]
    mounts = {mount["name"]: mount["mountPath"] for mount in copier["volumeMounts"]}
    assert mounts == {"model": "/models/digits", "registry": "/var/run/colchis/registry", "tmp": "/tmp"}
    assert {"name": "DOCKER_CONFIG", "value": mounts["registry"]} in copier["env"]
    assert spec["volumes"][0] == {"name": "model", "emptyDir": {"sizeLimit": "32Gi"}}
    assert "image" not in json.dumps(spec["volumes"])
    login = next(volume["secret"] for volume in spec["volumes"] if volume["name"] == "registry")
    assert (login["secretName"], login["optional"]) == ("colchis-registry", True)


@pytest.mark.parametrize("volume", ["image", "copy"])
def test_every_container_is_locked_down_and_has_no_token(volume: str) -> None:
    spec = pod(Deployed("digits", 2, "run-1", IMAGE, "registry.example/serve:1", volume=volume))
    assert spec["automountServiceAccountToken"] is False
    security = spec["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"], security["runAsGroup"]) == (True, 65532, 65532)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*spec["containers"], *spec["initContainers"]]:
        assert container["securityContext"] == objects.READ_ONLY
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"]["memory"]


def test_the_configuration_reaches_the_server_as_a_file_made_of_an_annotation() -> None:
    made = deployment(SERVED, '{"models":{}}')["spec"]["template"]
    assert made["metadata"]["annotations"]["colchis.dev/serving"] == '{"models":{}}'
    config = next(volume for volume in made["spec"]["volumes"] if volume["name"] == "config")
    path = "metadata.annotations['colchis.dev/serving']"
    assert config["downwardAPI"]["items"] == [{"path": "config.json", "fieldRef": {"fieldPath": path}}]
    assert "--config=/etc/colchis/config.json" in made["spec"]["containers"][0]["args"]


def test_labels_name_model_version_and_run_and_the_service_finds_the_pods() -> None:
    made = deployment(SERVED, "{}")
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert made["metadata"]["name"] == service(SERVED)["metadata"]["name"] == "colchis-digits-2"
    assert made["spec"]["replicas"] == 3
    selector = made["spec"]["selector"]["matchLabels"]
    assert selector == service(SERVED)["spec"]["selector"] == SERVED.selector
    assert labels.items() >= selector.items()
    assert (labels["colchis.dev/run"], labels["app.kubernetes.io/managed-by"]) == ("run-1", "colchis")


@pytest.mark.parametrize("run", ["", "-a", "a b", "x" * 64, "ä"])
def test_a_run_whose_id_cannot_be_a_label_is_left_out(run: str) -> None:
    assert run_label(run) == {}


def test_an_object_as_read_becomes_the_manifest_that_makes_it_again() -> None:
    made = deployment(SERVED, "{}")
    read = {**made, "status": {"replicas": 3}, "metadata": {**made["metadata"], "uid": "1", "resourceVersion": "7"}}
    read["metadata"]["annotations"] = {**made["metadata"]["annotations"], "deployment.kubernetes.io/revision": "1"}
    assert again(read) == made


def test_a_version_is_asked_by_grpc_on_a_port_of_its_own() -> None:
    (container,) = pod(SERVED)["containers"]
    assert "--grpc-port=8500" in container["args"]
    assert {"name": "grpc", "containerPort": 8500} in container["ports"]
    assert service(SERVED)["spec"]["ports"][1] == {
        "name": "grpc",
        "port": 8500,
        "targetPort": "grpc",
        "appProtocol": "kubernetes.io/h2c",
    }


def test_tokens_are_a_mounted_secret_and_no_argument_holds_one() -> None:
    spec = pod(Deployed("digits", 2, "run-1", IMAGE, "serve:1", options=ServeOptions(tokens=True)))
    assert {"name": "tokens", "secret": {"secretName": "colchis-tokens"}} in spec["volumes"]
    (server,) = spec["containers"]
    mount = {"name": "tokens", "mountPath": "/var/run/colchis/tokens", "readOnly": True}
    assert mount in server["volumeMounts"]
    assert "--tokens=/var/run/colchis/tokens/tokens.json" in server["args"]
    assert "tokens" not in json.dumps(pod(SERVED))
    theirs = Deployed("m", 1, "r", IMAGE, "tf:2", runtime="tensorflow-serving", options=ServeOptions(tokens=True))
    with pytest.raises(InputError, match="tensorflow-serving takes no tokens; leave tokens out"):
        pods(theirs, "{}")
