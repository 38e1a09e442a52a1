"""What answers in the place of a model is the installation's choice, in a pod; by hand it is whoever runs the step."""

import pytest

from colchis_steps._formats.models import Manifest
from colchis_steps._rollout.options import Options, check_server, server_image
from colchis_steps._step.errors import InputError

OWN, OTHER = "host/serve:1", "host/tensorflow-serving:2.20.0@sha256:0"
SMALL = "host/serve-onnx:1"


def of(kind: str) -> Manifest:
    return Manifest("digits", 2, "run-1", (), "sha256:t", "2026-01-01T00:00:00Z", format=kind)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as in a pod of the template."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("COLCHIS_SERVER_IMAGE", OWN)
    monkeypatch.setenv("COLCHIS_SERVER_IMAGE_ONNX", SMALL)


@pytest.mark.usefixtures("installed")
def test_the_image_goes_by_the_versions_format_where_none_is_named() -> None:
    assert [server_image(of(kind), Options()) for kind in ("savedmodel", "onnx")] == [OWN, SMALL]


@pytest.mark.usefixtures("installed")
def test_the_image_with_both_serves_either_and_the_small_one_no_saved_model() -> None:
    assert server_image(of("onnx"), Options(serve_image=OWN)) == OWN
    with pytest.raises(InputError, match=f"digits is of the format savedmodel, and {SMALL} runs ONNX models alone; "):
        server_image(of("savedmodel"), Options(serve_image=SMALL))
    with pytest.raises(InputError, match=f"which has {OWN}, {SMALL}; leave"):
        server_image(of("onnx"), Options(serve_image="evil/serve:1"))


@pytest.mark.parametrize(("kind", "name"), [("savedmodel", "serve"), ("onnx", "serve-onnx"), ("of-later", "serve")])
def test_by_hand_an_image_has_to_be_named(kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("COLCHIS_SERVER_IMAGE", "COLCHIS_SERVER_IMAGE_ONNX"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InputError, match=f"give --serve-image=REGISTRY/{name}:TAG"):
        server_image(of(kind), Options())


def test_tensorflow_serving_runs_saved_models_alone_by_an_image_that_is_named() -> None:
    serving = Options(runtime="tensorflow-serving")
    with pytest.raises(
        InputError, match=r"version 2 of digits is of the format onnx, which tensorflow-serving does not"
    ):
        server_image(of("onnx"), Options(runtime="tensorflow-serving", serve_image=OTHER))
    with pytest.raises(InputError, match=r"give --serve-image=docker\.io/tensorflow/serving:"):
        server_image(of("savedmodel"), serving)


def test_a_submitter_chooses_no_other_program_than_the_installations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLCHIS_SERVER_IMAGE", OWN)
    check_server("evil/serve:1")  # on a laptop the template's variable is there, too
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    check_server(OWN)
    for image in ("evil/serve:1", "", f"{OWN}@sha256:1", "host/serve"):
        with pytest.raises(InputError, match="is not a model server of this installation, which has host/serve:1"):
            check_server(image)


def test_an_operator_lets_others_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("COLCHIS_SERVER_IMAGE", OWN)
    monkeypatch.setenv("COLCHIS_SERVER_IMAGES", f"host/x:1 {OTHER}")
    check_server(OTHER)
    with pytest.raises(InputError, match="COLCHIS_SERVER_IMAGES in the ConfigMap colchis"):
        check_server("evil/serve:1")


def test_outside_of_the_templates_any_image_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.delenv("COLCHIS_SERVER_IMAGE", raising=False)
    check_server("evil/serve:1")
