"""What a submitter gives comes through Argo and the kubelet as it is: ``$(NAME)`` in it names nothing."""

import base64
import json
import re
from typing import Any

import pytest
from tests.cluster.installed import NEEDS_CLUSTER, Installation, kubectl, until

from colchis_steps._manifests.training import Training
from colchis_steps._manifests.training_pods import pod

pytestmark = NEEDS_CLUSTER
PYTHON = "docker.io/library/python:3.13-slim"
REFERENCES = ["$(AWS_SECRET_ACCESS_KEY)", "$(HOME)", "$$(HOME)", "$$$(OPEN_BRACE)$"]


def nested(text: str, times: int) -> str:
    """Return an expression that Argo makes an expression of, and so on; the last one makes the text."""
    for _ in range(times):
        text = f"{{{{=fromBase64('{base64.b64encode(text.encode()).decode()}')}}}}"
    return text


def message(here: Installation, name: str) -> str:
    """Return what the UI shows of a run whose only pod has failed."""
    run = here.ended(name)
    found = [node["message"] for node in run.nodes if node["type"] == "Pod"]
    assert found, run.told()
    assert "password" not in json.dumps(run.workflow["status"])
    return str(found[0])


def test_a_reference_in_a_parameter_names_no_key(here: Installation) -> None:
    texts = [*REFERENCES, *(nested(REFERENCES[0], times) for times in range(2, 5))]
    names = [here.submit("colchis-validate-data", store=here.url, run="values", data=text) for text in texts]
    told = [message(here, name) for name in names]
    for text, found in zip(REFERENCES, told, strict=False):
        assert f"(exit code 65): {text!r} is not a store URL" in found
    for found in told[len(REFERENCES) :]:  # Argo reads these as expressions; the kubelet reads nothing in them
        assert re.search(r"code 65\): (\"{{=fromBase64|'\$\(AWS_SECRET_ACCESS_KEY\)')", found), found


@pytest.mark.parametrize("backend", ["indexed-job", "trainjob"])
def test_a_reference_in_a_workers_flag_names_nothing(tiny: str, backend: str) -> None:
    flags = [f"--hyperparameters={text}" for text in [*REFERENCES, "{{nothing}} \"'"]]
    made: dict[str, Any] = pod(Training(backend, "run-1", "digits", 1, PYTHON, flags), {"restartPolicy": "Never"})
    (worker,) = made["spec"]["containers"]
    worker["command"] = ["python", "-c", "import json, sys; print(json.dumps(sys.argv[1:-1]))"]
    worker["resources"] = {"requests": {"cpu": "20m", "memory": "32Mi"}}
    name = f"flags-{backend}"
    here = ["--namespace", tiny]
    kubectl(*here, "create", "--filename=-", given={"apiVersion": "v1", "kind": "Pod", **made} | named(made, name))
    phase = ["get", "pod", name, "--output=jsonpath={.status.phase}"]
    until(60, f"the end of {name}", lambda: kubectl(*here, *phase) in {"Succeeded", "Failed"})
    assert json.loads(kubectl(*here, "logs", name)) == flags


def named(made: dict[str, Any], name: str) -> dict[str, Any]:
    return {"metadata": {**made["metadata"], "name": name}}
