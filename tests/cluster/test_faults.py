"""What goes wrong on a cluster, and what is left of it: a sentence, and nothing half done."""

import dataclasses
import json

import pytest
from tests.cluster.installed import NEEDS_CLUSTER, REPOSITORY, Installation, Run, kubectl

from colchis_steps._formats.keys import result_key
from colchis_steps._formats.policy import Policy
from colchis_steps._formats.runs import StepResult
from colchis_steps._models.policy import read_policy, write_policy
from colchis_steps._store.documents import read_document

pytestmark = NEEDS_CLUSTER
BRIEF = {"workers": "1", "hyperparameters": '{"epochs": 1, "global_batch": 64, "learning_rate": 0.01}'}
LOW, HIGH = '{"accuracy": {"min": 0.1}}', '{"accuracy": {"min": 1.0}}'


@pytest.fixture(scope="module")
def here(here: Installation) -> Installation:
    return dataclasses.replace(here, parameters={**BRIEF, "thresholds": LOW, "builder": "direct"})


@pytest.fixture(scope="module")
def runs(here: Installation) -> dict[str, Run]:
    """Runs of which nothing is served, side by side; one says no threshold, so that the model's policy alone does."""
    write_policy(here.store, "no", Policy(thresholds=json.loads(HIGH)))
    given = {"false": "", "true": HIGH}
    names = {fails: here.submit(model="no", thresholds=told, fail_on_reject=fails) for fails, told in given.items()}
    names["loose"] = here.submit(model="no", thresholds=LOW)
    names["bad"] = here.submit(model="bad", data=damaged(here))
    return {which: here.ended(name) for which, name in names.items()}


def damaged(here: Installation) -> str:
    """Return the URI of the data with a file whose end is zeros."""
    store, bad = here.store, "data/bad/0"
    prefix = here.data.removeprefix(f"{here.url}/")
    for key in list(store.keys(prefix)):
        content = store.read(key)
        altered = content[:-100] + bytes(100) if key.endswith("train-00000.npz") else content
        store.write(f"{bad}/{key.rpartition('/')[2]}", altered)
    return f"{here.url}/{bad}"


def versions(here: Installation, model: str) -> list[int]:
    keys = here.keys(f"models/{model}/")
    return sorted(int(key.split("/")[2]) for key in keys if key.endswith("/manifest.json"))


def served(here: Installation, model: str) -> list[str]:
    """Name all that the cluster has of a model."""
    found = here.kubectl("get", "deployments,services", "--selector", f"colchis.dev/model={model}", "--output=name")
    return found.split()


def test_bad_data_ends_with_65_and_is_not_tried_again(runs: dict[str, Run]) -> None:
    run = runs["bad"]
    assert run.phase == "Failed"
    sentence = run.failed("validate-data", 65)
    assert sentence.startswith("train-00000.npz is corrupt: its sha256 is ")
    assert sentence.endswith("import the data again")
    assert run.outputs["summary"] == f"validate_data failed: {sentence}"
    assert run.node("candidate")["phase"] == "Omitted"


def test_a_no_of_the_gate_succeeds_or_fails_as_asked_and_deploys_nothing(
    here: Installation, runs: dict[str, Run]
) -> None:
    kind, strict = runs["false"], runs["true"]
    assert kind.phase == "Succeeded", kind.told()
    assert kind.node("publish")["phase"] == "Skipped"
    strict.failed("evaluate", 3)
    assert strict.phase == "Failed"
    for run in (kind, strict):
        assert run.outputs["verdict"] == "fail"
        assert run.outputs["summary"].startswith("the gate said no: accuracy ")
        assert "version" not in run.outputs or not run.outputs["version"]
    assert versions(here, "no") == []
    assert served(here, "no") == []


def test_a_run_is_held_to_the_policy_of_its_model_and_cannot_be_looser(
    here: Installation, runs: dict[str, Run]
) -> None:
    policy = read_policy(here.store, "no").digest
    found = read_document(here.store, result_key(runs["false"].uid, "evaluate"), StepResult)
    assert (found.verdict, found.details["policy"]) == ("fail", policy)
    sentence = runs["loose"].failed("evaluate", 65)
    assert "accuracy" in sentence
    assert policy.removeprefix("sha256:")[:12] in sentence


@pytest.mark.long
def test_a_run_outlives_its_pods_and_the_controller(here: Installation) -> None:
    name = here.submit(model="sturdy", builder="kaniko")
    killed = set()
    for task in ("validate-data", "train", "evaluate", "upload", "build-image", "register", "rollout"):
        pod = here.reached(name, task)
        killed.add(here.get("pod", pod)["metadata"]["uid"])
        here.kubectl("delete", "pod", pod, "--wait=false", "--grace-period=0", "--force")
        if task == "train":
            kubectl("--namespace", "argo", "rollout", "restart", "deployment/workflow-controller")
    run = here.ended(name, 600)
    assert run.phase == "Succeeded", run.told()
    pods = here.get("pods", f"--selector=workflows.argoproj.io/workflow={name}")["items"]
    assert not killed & {pod["metadata"]["uid"] for pod in pods}, "Argo made each of them again"
    assert len(killed) == 7
    assert versions(here, "sturdy") == [1]
    assert len(served(here, "sturdy")) == 2, "one Deployment, one Service"
    known = here.get("deployment", "colchis-sturdy-1")
    image = f"{REPOSITORY}/{here.namespace}/sturdy@{run.outputs['digest']}"
    assert known["metadata"]["annotations"]["colchis.dev/image"] == image


@pytest.mark.long
def test_two_runs_of_one_model_take_turns_around_publish_only(here: Installation) -> None:
    names = [here.submit(model="twice", hyperparameters=BRIEF["hyperparameters"][:-1] + f', "seed": {seed}}}')
             for seed in (1, 2)]  # fmt: skip
    runs = [here.ended(name, 600) for name in names]
    for run in runs:
        assert run.phase == "Succeeded", run.told()
    trained = [run.attempts("train")[0] for run in runs]
    assert trained[0]["startedAt"] < trained[1]["finishedAt"]
    assert trained[1]["startedAt"] < trained[0]["finishedAt"]
    first, second = sorted(
        (run.attempts("upload")[0]["startedAt"], run.attempts("rollout")[-1]["finishedAt"]) for run in runs
    )
    assert first[1] <= second[0]
    assert sorted(run.outputs["version"] for run in runs) == ["1", "2"]
    assert versions(here, "twice") == [1, 2]
