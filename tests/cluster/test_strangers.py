"""A model that strangers ask through the gateway: tokens over HTTP and gRPC, and a canary that nobody can aim at."""

import http.client
import json
import os
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from tests.cluster.conftest import Site, resolved
from tests.cluster.installed import GATEWAY, NEEDS_CLUSTER, kubectl, until

from colchis_steps._serving.server.rpc import inference_pb2 as v2
from colchis_steps._serving.server.rpc import serving_pb2 as tf

pytestmark = NEEDS_CLUSTER
ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".clients/bin/python"
CLASS, PORT, HOST = "traefik", 8000, "grpc.test"  # a listener beside that of HTTP, told apart by its host name
USER, OTHER, OWN, NEW = "token-of-a-user-01", "token-of-others-01", "token-of-rollout-1", "token-of-a-user-02"
BODY = json.dumps({"instances": [[[0] * 8] * 8]})
QUICK = ["--action=canary", "--approval=manual", "--step-seconds=1", "--judge-seconds=60"]
TOKENS = '--serve-options={"tokens": true}'


def secret(site: Site, model: str, user: str) -> None:
    """Say who may ask the model."""
    tokens = json.dumps({model: [user], "other": [OTHER], "*": [OWN]})
    metadata = {"name": "colchis-tokens", "namespace": site.namespace}
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"tokens.json": tokens}}
    kubectl("apply", "--filename=-", given=manifest)


def grpc_gateway(namespace: str, host: str) -> str:
    """Make a Gateway that takes gRPC for the host name; return what COLCHIS_GRPC_GATEWAY calls it."""
    listener = {"name": "grpc", "protocol": "HTTP", "port": PORT, "hostname": host}
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "grpc", "namespace": namespace},
        "spec": {"gatewayClassName": CLASS, "listeners": [listener]},
    }
    kubectl("apply", "--filename=-", given=gateway)
    return f"{namespace}/grpc"


@pytest.fixture(scope="module")
def guarded(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose version 1 wants tokens; rollouts have one."""
    model = f"guarded-{site.namespace.rpartition('-')[2]}"
    for version in (1, 2):
        site.publish(model, version, "tiny/1")
        site.golden(model, version, 1)
    secret(site, model, USER)
    own = tmp_path_factory.mktemp("token") / "token"
    said = site.roll(model, 1, TOKENS, code=65)
    assert f"version 1 of {model} does not take the rollout's token (this server wants a token" in said
    assert "put one that is in its tokens into the Secret colchis-token" in said
    own.write_text(OWN)
    site.environment["COLCHIS_GRPC_GATEWAY"] = grpc_gateway(site.namespace, HOST)
    site.environment["COLCHIS_TOKEN_FILE"] = str(own)  # the site is this module's own
    site.roll(model, 1, TOKENS)
    return model


def ask(path: str, token: str = USER, **headers: str) -> tuple[int, str, str]:
    """Return status, the version that answered, and the body."""
    until(20, "the gateway's address", resolved)
    host = urlsplit(GATEWAY)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent |= {"Authorization": f"Bearer {token}"} if token else {}
    with closing(http.client.HTTPConnection(host.hostname or "", host.port or 80, timeout=20)) as connection:
        connection.request("POST", path, BODY, {"Content-Type": "application/json", **sent})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Colchis-Version", ""), answer.read().decode()


def address() -> str:
    """Return the gateway's address for gRPC."""
    until(20, "the gateway's address", resolved)
    host = urlsplit(GATEWAY)
    return f"{socket.gethostbyname(host.hostname or '')}:{host.port or 80}"


def over_grpc(method: str, request: Any, answer: Any, **metadata: str) -> Any:
    """Return the answer of a method through the gateway, or the status and its sentence."""
    sent = [(name.replace("_", "-"), value) for name, value in metadata.items()]
    with grpc.insecure_channel(address(), [("grpc.default_authority", HOST)]) as channel:
        call: Any = channel.unary_unary(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        try:
            return call(request, metadata=sent, timeout=20)
        except grpc.RpcError as error:
            told: Any = error
            return told.code().name, told.details()


def infer(model: str, version: str = "", **metadata: str) -> Any:
    """Ask V2's ModelInfer."""
    request = v2.ModelInferRequest(model_name=model, model_version=version)
    request.inputs.add(name="image", datatype="UINT8", shape=[1, 8, 8])
    request.raw_input_contents.append(bytes(64))
    answer = over_grpc("/inference.GRPCInferenceService/ModelInfer", request, v2.ModelInferResponse, **metadata)
    return answer if isinstance(answer, tuple) else int(answer.model_version)


def predict(model: str, **metadata: str) -> Any:
    """Ask TensorFlow Serving's Predict."""
    request = tf.PredictRequest(model_spec=tf.ModelSpec(name=model))
    shape = tf.TensorShapeProto(dim=[tf.TensorShapeProto.Dim(size=length) for length in (1, 8, 8)])
    request.inputs["image"].CopyFrom(tf.TensorProto(dtype=tf.DT_UINT8, tensor_shape=shape, tensor_content=bytes(64)))
    answer = over_grpc("/tensorflow.serving.PredictionService/Predict", request, tf.PredictResponse, **metadata)
    return answer if isinstance(answer, tuple) else int(answer.model_spec.version.value)


def bearer(model: str, token: str = USER, **more: str) -> dict[str, str]:
    """Return the metadata of a request."""
    return {"colchis_model": model, "authorization": f"Bearer {token}", **more}


def test_tokens_are_asked_for_through_both_routes(site: Site, guarded: str) -> None:
    model = guarded
    path = f"/v1/models/{model}:predict"
    assert ask(path)[:2] == (200, "1")
    assert (ask(path, "")[0], "send it as Authorization: Bearer TOKEN" in ask(path, "")[2]) == (401, True)
    assert (ask(path, "no-such-token-at-all")[0], ask(path, OTHER)[0]) == (401, 403)
    assert ask(f"/v2/models/{model}/infer", "")[0] == 401
    until(30, "gRPC through the gateway", lambda: infer(model, **bearer(model)) == 1)
    assert predict(model, **bearer(model)) == 1
    wanted = ("UNAUTHENTICATED", "this server wants a token; send it as Authorization: Bearer TOKEN")
    assert (infer(model, colchis_model=model), predict(model, colchis_model=model)) == (wanted, wanted)
    assert infer(model, **bearer(model, OTHER))[0] == "PERMISSION_DENIED"
    assert infer(model, authorization=f"Bearer {USER}")[0] in {"UNIMPLEMENTED", "NOT_FOUND"}, "routed without the model"
    pod = site.get("pods", f"--selector=colchis.dev/model={model}")["items"][0]
    assert {USER, OWN} & set(json.dumps(pod).split('"')) == set(), "a token is in the pod's description"
    assert USER not in json.dumps(site.get("httproute", f"colchis-{model}"))


def test_a_client_that_is_not_ours_asks_through_the_grpc_route(guarded: str) -> None:
    if not PYTHON.exists() and not os.environ.get("CI"):
        pytest.skip("the clients are not installed; install them with: make .clients/ready")
    script = ROOT / "tests/clients/ask_triton_routed.py"
    for token, told in (
        (USER, "version 1 class 1"),
        (OTHER, "StatusCode.PERMISSION_DENIED the token is not for model"),
    ):
        command = [str(PYTHON), str(script), address(), HOST, guarded, token]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.stdout.startswith(told), done.stderr[-2000:]


def test_a_canary_without_traffic_is_reached_by_no_user(site: Site, guarded: str) -> None:
    model = guarded
    site.roll(model, 2, TOKENS, *QUICK, "--steps=0,100", "--run=shadow")
    told = site.told(model, "shadow")
    assert [(step.weight, step.verdict) for step in told.steps] == [(0, "pass")], "the prober did not reach it"
    path = f"/v1/models/{model}"
    assert {ask(f"{path}:predict")[:2] for _ in range(50)} == {(200, "1")}
    for aimed in (f"{path}/versions/2:predict", f"/v2/models/{model}/versions/2/infer", f"{path}/versions/2"):
        status, version, said = ask(aimed)
        assert (status, version) in {(404, ""), (405, "")}, said
    assert ask(f"{path}/versions/1:predict")[:2] == ask(f"{path}/labels/canary:predict")[:2] == (200, "1")
    assert ask(f"{path}:predict", colchis_version="2")[:2] == (200, "1")
    assert ask(f"{path}/versions/2:predict", colchis_key="0" * 32)[0] == 404
    aims = [infer(model, **bearer(model, colchis_version="2")), infer(model, "1", **bearer(model))]
    aims.append(predict(model, **bearer(model, colchis_version="2", colchis_key="0" * 32)))
    assert aims == [1, 1, 1]
    assert infer(model, "2", **bearer(model))[0] == "NOT_FOUND"
    site.roll(model, 2, "--action=rollback", "--run=shadow")


def test_a_rollout_that_says_so_lets_testers_name_it(site: Site, guarded: str) -> None:
    model = guarded
    flags = [TOKENS, *QUICK, "--steps=0,100", "--testers=true", "--run=open"]
    site.roll(model, 2, *flags)
    path = f"/v1/models/{model}"
    assert {ask(f"{path}:predict")[1] for _ in range(20)} == {"1"}
    assert ask(f"{path}/versions/2:predict")[:2] == ask(f"{path}/labels/canary:predict")[:2] == (200, "2")
    assert ask(f"{path}:predict", colchis_version="2")[:2] == (200, "2")
    assert infer(model, **bearer(model, colchis_version="2")) == 2
    site.roll(model, 2, "--action=promote", "--run=open", TOKENS)
    assert (ask(f"{path}:predict")[1], infer(model, **bearer(model))) == ("2", 2)
    back = site.step("colchis_steps.models", "rollback", model, f"--store={site.store.url}")
    assert "answers again after" in back.stderr
    assert (ask(f"{path}:predict")[1], infer(model, **bearer(model))) == ("1", 1)


def test_a_token_that_is_changed_is_another_at_once(site: Site, guarded: str) -> None:
    model = guarded
    secret(site, model, NEW)
    pods = site.get("pods", f"--selector=colchis.dev/model={model}")["items"]
    for pod in pods:  # a change of the pod makes the kubelet look at its volumes
        kubectl("--namespace", site.namespace, "annotate", "pod", pod["metadata"]["name"], "colchis.test/looked=1")
    path = f"/v1/models/{model}:predict"
    until(120, "the new token", lambda: ask(path, NEW)[0] == 200)
    assert ask(path, USER)[0] == 401
    assert infer(model, **bearer(model, NEW)) == 1
    assert infer(model, **bearer(model))[0] == "UNAUTHENTICATED"
