"""Pipelines whose rollout is special, all the way on Argo: one that waits for somebody's yes, and one by KServe.

Each needs a version that is served before, so these take minutes.
"""

import json
import subprocess

import pytest
from tests.cluster.installed import NEEDS_CLUSTER, Installation, Run, kubectl, until

from colchis_steps._formats.keys import alias_key, rollout_key
from colchis_steps._formats.models import Alias
from colchis_steps._formats.rollouts import Rollout
from colchis_steps._models.aliases import stable
from colchis_steps._rollout.canary import TASTE
from colchis_steps._serving.client import call
from colchis_steps._store.documents import find_document, read_document

pytestmark = [*NEEDS_CLUSTER, pytest.mark.long]
BRIEF = {
    "workers": "1",
    "hyperparameters": '{"epochs": 2, "global_batch": 64, "learning_rate": 0.01}',
    "thresholds": '{"accuracy": {"min": 0.1}}',
    "builder": "direct",
}
MODEL = "asked"
SHARE = 30  # per cent, of the last step


@pytest.fixture(scope="module")
def served(here: Installation) -> Installation:
    """A model whose version 1 is served."""
    run = here.ended(here.submit(model=MODEL, **BRIEF), 400)
    assert run.outputs["summary"].startswith(f"served {MODEL} version 1"), run.told()
    return here


def waiting(here: Installation) -> Run:
    """Submit a run that is to be approved; give it when it waits, with its canary at its share."""
    name = here.submit(model=MODEL, approval="manual", steps=f"{SHARE},100", **BRIEF)

    def asks() -> Run | None:
        run = here.run(name)
        assert not run.workflow.get("status", {}).get("finishedAt"), run.told()
        return run if any(n["type"] == "Suspend" and n["phase"] == "Running" for n in run.nodes) else None

    run = until(500, f"the question of {name}", asks)
    given = {one["name"]: one["value"] for one in run.node("approve")["inputs"]["parameters"]}
    assert given["report"] == f"{here.url}/runs/{run.uid}/report.html"
    assert here.store.read(f"runs/{run.uid}/report.html").startswith(b"<!DOCTYPE html>")
    canary = read_document(here.store, alias_key(MODEL, "canary"), Alias)
    assert (canary.weight, canary.run) == (SHARE, run.uid)
    assert weights(here) == {stable_version(here): 100 - SHARE, canary.version: SHARE}
    return run


def stable_version(here: Installation) -> int:
    found = stable(here.store, MODEL)
    assert found
    return found.version


def weights(here: Installation) -> dict[int, int]:
    """Return how the route shares out what names no version."""
    found = here.get("httproute", f"colchis-{MODEL}")["spec"]["rules"][-1]["backendRefs"]
    return {int(one["name"].rpartition("-")[2]): one["weight"] for one in found if one["weight"]}


def test_a_canary_waits_at_its_share_and_a_yes_promotes_it(served: Installation) -> None:
    before = stable_version(served)
    run = waiting(served)
    yes = ["--output-parameter", "approve=YES", "--node-field-selector", "displayName=approve"]
    for words in (["node", "set", run.name, *yes], ["resume", run.name]):
        ran("argo", "--namespace", served.namespace, *words)
    done = served.ended(run.name, 300)
    assert done.phase == "Succeeded", done.told()
    found = stable(served.store, MODEL)
    assert found
    assert (found.version, found.previous) == (before + 1, before)
    assert weights(served) == {before + 1: 100}
    assert find_document(served.store, alias_key(MODEL, "canary"), Alias) is None
    told = read_document(served.store, rollout_key(MODEL, run.uid), Rollout)
    assert (told.verdict, [step.weight for step in told.steps]) == ("pass", [TASTE, SHARE])


def test_a_run_that_is_stopped_while_it_waits_leaves_its_canary_to_the_one_command_back(served: Installation) -> None:
    before = stable_version(served)
    run = waiting(served)
    ran("argo", "--namespace", served.namespace, "stop", run.name)
    assert served.ended(run.name).phase == "Failed"
    assert weights(served)[before] == 100 - SHARE, "nobody but a person decides about a canary that waits"
    said = ran("colchis", "rollback", MODEL, "--store", served.url, "--namespace", served.namespace)
    assert "was a canary and is withdrawn" in said
    assert (weights(served), stable_version(served)) == ({before: 100}, before)
    assert find_document(served.store, alias_key(MODEL, "canary"), Alias) is None


def test_a_pipeline_serves_by_kserve_with_as_many_pods_as_asked_and_keeps_requests(here: Installation) -> None:
    if "inferenceservices.serving.kserve.io" not in kubectl("get", "crds", "-o=name"):
        pytest.skip("the cluster has no KServe")
    model = "by-kserve"
    options = {"replicas": 2, "min_available": 1, "log_requests": 1.0}
    run = here.ended(here.submit(model=model, target="kserve", serve_options=json.dumps(options), **BRIEF), 500)
    assert run.outputs["summary"].startswith(f"served {model} version 1"), run.told()
    (found,) = here.get("inferenceservices")["items"]
    assert found["spec"]["predictor"]["minReplicas"] == 2
    assert here.get("pdb", f"colchis-{model}-1")["spec"]["minAvailable"] == 1
    status, answer = call(f"{run.outputs['endpoint']}:predict", {"instances": [[[0] * 8] * 8]}, timeout=10)
    assert (status, len(answer["predictions"])) == (200, 1)
    until(60, "a kept request", lambda: here.keys(f"requests/{model}/1/") or None)


def ran(*words: str) -> str:
    """Run a command as a person does; give what it says on stderr."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr
