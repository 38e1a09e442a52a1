"""What answers in the place of a model is the installation's choice, in a pod; by hand it is whoever runs the step."""

import pytest

from colchis_steps._rollout.options import check_server
from colchis_steps._step.errors import InputError

OWN, OTHER = "host/serve:1", "host/tensorflow-serving:2.20.0@sha256:0"


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
