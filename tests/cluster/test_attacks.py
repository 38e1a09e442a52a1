"""What a user's code, a bucket's writer and a submitter tried once, and were served for; and two runs that overlap."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.conftest import by_job
from tests.cluster.installed import IMAGES, NEEDS_CLUSTER, PATIENCE, TAG, Installation, Run, until

from colchis_steps._formats.keys import alias_key, candidate_key, golden_key, record_key, result_key, training_key
from colchis_steps._formats.models import Alias, Candidate, Record
from colchis_steps._formats.runs import StepResult
from colchis_steps._models.verdict import baseline_name, evaluation_digest
from colchis_steps._store.documents import read_document

pytestmark = NEEDS_CLUSTER
MODEL, VICTIM = "overlap", "alpha"  # the victim is one of first_runs
GOOD = {"epochs": 3, "global_batch": 64, "seed": 7, "learning_rate": 0.01, "victim": VICTIM}
POOR = {"epochs": 1, "global_batch": 512, "seed": 2, "learning_rate": 0.00001}
GATE = {"accuracy": {"min": 0.01, "min_change": -0.01}}
SPIED = {"keys": {"max": 0}, "places": {"max": 0}, "rows": {"min": 1}}  # by metrics of the attacker's own
HOLDER = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"name": "holder"},
    "spec": {
        "entrypoint": "hold",
        "serviceAccountName": "colchis-step",
        "templates": [{"name": "hold", "suspend": {}, "synchronization": {"mutexes": [{"name": f"colchis-{MODEL}"}]}}],
    },
}


def pushed(here: Installation) -> str:
    command = ["colchis", "push-code", str(Path(__file__).parent / "attack"), f"--store={here.url}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def before(here: Installation, first_runs: dict[str, Run]) -> dict[str, bytes]:
    """What the store has of data and of the victim before the attack."""
    assert first_runs[VICTIM].phase == "Succeeded"
    prefixes = (here.data.removeprefix(f"{here.url}/"), f"models/{VICTIM}/", "blobs/", "code/")
    return {key: here.store.read(key) for prefix in prefixes for key in here.keys(prefix)}


@pytest.fixture(scope="module")
def overlapping(here: Installation, before: dict[str, bytes]) -> dict[str, Run]:
    """A run that attacks while it trains a good model, and one of a poor model: both judged before one publishes."""
    assert before
    here.kubectl("create", "--filename=-", given=HOLDER)
    until(60, "the holder's turn", lambda: here.run("holder").phase == "Running")
    given = {"model": MODEL, "builder": "direct"}
    attack = {"code": pushed(here), "entry": "attack:build", "metrics": "spying:figures", **by_job("indexed-job")}
    names = {
        "good": here.submit(**given, **attack, thresholds=json.dumps(GATE | SPIED), hyperparameters=json.dumps(GOOD)),
        "poor": here.submit(**given, workers="1", thresholds=json.dumps(GATE), hyperparameters=json.dumps(POOR)),
    }
    for name in names.values():
        judged(here, name)
    here.kubectl("delete", "workflow", "holder")
    return {which: here.ended(name, 400) for which, name in names.items()}


def judged(here: Installation, name: str) -> None:
    """Wait until a run has passed its gate."""
    until(400, f"the verdict of {name}", lambda: "pass" in verdicts(here.run(name)))


def verdicts(run: Run) -> list[str]:
    """Return the verdicts of evaluations that have ended."""
    found = [node.get("outputs", {}).get("parameters", []) for node in run.nodes if node["displayName"] == "evaluate"]
    return [p["value"] for parameters in found for p in parameters if p["name"] == "verdict" and "value" in p]


def evaluated(here: Installation, run: Run) -> StepResult:
    return read_document(here.store, result_key(run.uid, "evaluate"), StepResult)


def test_user_code_can_write_below_its_own_run_and_nowhere_else(
    here: Installation, overlapping: dict[str, Run], before: dict[str, bytes]
) -> None:
    run = overlapping["good"]
    told: dict[str, Any] = json.loads(here.store.read(training_key(run.uid, "attack.json")))
    assert told.pop("token") is False
    assert told.pop("environment") == []
    assert told.pop("cluster").startswith(("refused 40", "not reached"))
    assert set(told.values()) == {"AccessDenied"}, told
    assert {key: here.store.read(key) for key in before} == before
    images = read_document(here.store, record_key(VICTIM, 1), Record).step_images
    assert (images["judge"], images["ask"]) == (f"{IMAGES}/data:{TAG}", f"{IMAGES}/train:{TAG}")
    assert [key for key in here.keys("blobs/") if key.endswith("0" * 64)] == []


def test_metrics_of_the_users_see_no_key_and_write_nowhere(here: Installation, overlapping: dict[str, Run]) -> None:
    details = evaluated(here, overlapping["good"]).details
    assert details["verdict"] == "pass", overlapping["good"].told()
    assert (details["metrics"]["keys"], details["metrics"]["places"]) == (0, 0)
    assert details["own"]["function"] == "spying:figures"
    assert details["own"]["code"].startswith("sha256:")
    assert details["own"]["image"] == f"{IMAGES}/train:{TAG}"


def test_of_two_runs_that_overlap_the_better_serves(here: Installation, overlapping: dict[str, Run]) -> None:
    good, poor = overlapping["good"], overlapping["poor"]
    assert good.phase == "Succeeded", good.told()
    stable = read_document(here.store, alias_key(MODEL, "stable"), Alias)
    record = read_document(here.store, record_key(MODEL, stable.version), Record)
    assert record.run == good.uid, poor.told()
    first, second = (poor, good) if record.version == 2 else (good, poor)
    assert (first.node("again")["phase"], second.node("again")["phase"]) == ("Skipped", "Succeeded"), second.told()
    assert evaluated(here, first).details["baseline_version"] is None
    assert evaluated(here, second).details["baseline_version"] == 1
    assert poor.outputs["verdict"] == ("pass" if first is poor else "fail")


def test_a_forged_record_is_not_rolled_out(here: Installation, overlapping: dict[str, Run]) -> None:
    """It says fail; what else may be altered in it, tests/steps/test_bound.py has."""
    stable = read_document(here.store, alias_key(MODEL, "stable"), Alias)
    key = record_key(MODEL, stable.version)
    content = here.store.read(key)
    assert b'"verdict":"pass"' in content
    here.store.write(key, content.replace(b'"verdict":"pass"', b'"verdict":"fail"'))
    try:
        given = {"store": here.url, "run": "forged", "model": MODEL, "version": str(stable.version)}
        name = here.submit("colchis-rollout", **given, image=stable.image, action="promote")
        said = here.ended(name).failed(name, 65)
        assert f"version {stable.version} of {MODEL} must not be served: its record.json is sha256:" in said
    finally:
        here.store.write(key, content)


def test_a_program_of_the_submitters_does_not_answer_in_the_models_place(
    here: Installation, overlapping: dict[str, Run]
) -> None:
    stable = read_document(here.store, alias_key(MODEL, "stable"), Alias)
    given = {"store": here.url, "run": "other", "model": MODEL, "version": str(stable.version), "image": stable.image}
    name = here.submit("colchis-rollout", **given, action="promote", serve_image=f"{IMAGES}/steps:{TAG}")
    said = here.ended(name).failed(name, 65)
    servers = ", ".join(f"{IMAGES}/{name}:{TAG}" for name in ("serve", "serve-onnx"))
    assert f"is not a model server of this installation, which has {servers}; " in said


def test_another_entrypoint_does_not_lead_round_the_gate(here: Installation, overlapping: dict[str, Run]) -> None:
    """A submitter starts at publish, with what a run's evaluation found that said no, and with one's own words."""
    run = overlapping["poor"]
    result = evaluated(here, run)
    tree = read_document(here.store, candidate_key(run.uid), Candidate).tree
    found = {
        "tree": tree,
        "evaluation": evaluation_digest(result.details),
        "golden": result.details["golden"],
        "baseline": baseline_name(result.details["baseline_version"], result.details["baseline_digest"]),
    }
    changed = {**found, "evaluation": "sha256:mine"}
    names = {
        which: here.submit("colchis-upload", store=here.url, run=run.uid, model=MODEL, **given)
        for which, given in (("found", found), ("changed", changed))
    }
    said = {which: here.ended(name).failed(name, 65) for which, name in names.items()}
    assert "somebody changed it" in said["changed"]
    expected = "the gate of run" if result.verdict == "fail" else "is stable now"
    assert expected in said["found"]
    assert here.store.size(golden_key(run.uid))
