"""Same meaning, two engines: seventeen small DAGs through Argo; tests/workflows/_engine/test_dags.py runs them locally.

All are submitted at once, in a namespace of their own.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.installed import NEEDS_CLUSTER, argo_release, kubectl, until

DAGS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "workflows" / "dags").glob("*.yaml"))}
pytestmark = NEEDS_CLUSTER


@pytest.fixture(scope="module")
def submitted(tiny: str) -> dict[str, str]:
    """Return the names of the workflows."""
    names = {}
    for dag, path in DAGS.items():
        workflow, *templates = yaml.safe_load_all(path.read_text())
        for template in templates:
            kubectl("--namespace", tiny, "apply", "--filename=-", given=template)
        workflow["spec"]["serviceAccountName"] = "tiny"
        made = kubectl("--namespace", tiny, "create", "--filename=-", "--output=name", given=workflow)
        names[dag] = made.strip().partition("/")[2]
    return names


@pytest.mark.parametrize("dag", DAGS)
def test_phases_and_outputs_are_those_of_a_local_run(dag: str, submitted: dict[str, str], tiny: str) -> None:
    expected = next(yaml.safe_load_all(DAGS[dag].read_text()))["metadata"]["annotations"]
    name = submitted[dag]

    def ended() -> dict[str, Any] | None:
        found = json.loads(kubectl("--namespace", tiny, "get", "workflow", name, "--output=json"))
        return found["status"] if found.get("status", {}).get("finishedAt") else None

    status = until(240, f"the end of {name}", ended)
    phases = {"workflow": status["phase"]}
    phases |= {node["name"].removeprefix(name).lstrip("."): node["phase"] for node in status["nodes"].values()}
    outputs = {p["name"]: p.get("value") for p in status.get("outputs", {}).get("parameters", [])}
    assert phases == json.loads(expected["colchis.dev/phases"])
    given = expected.get("colchis.dev/outputs", "{}")
    if argo_release() < (3, 7, 16) or (4, 0, 0) <= argo_release() < (4, 0, 7):  # a local run follows the later ones
        given = expected.get("colchis.dev/outputs-before-3.7.16-and-4.0.7", given)
    assert outputs == json.loads(given)
