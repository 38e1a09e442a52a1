"""What goes wrong on a cluster, and what is left of it: a sentence, and nothing half done."""

import json
from collections.abc import Iterator

import pytest
from tests.cluster.installed import (
    NEEDS_CLUSTER,
    REPOSITORY,
    Installation,
    installed,
    kubectl,
    until,
)

pytestmark = NEEDS_CLUSTER
BRIEF = {"workers": "1", "hyperparameters": '{"epochs": 1, "global_batch": 64, "learning_rate": 0.01}'}
LOW, HIGH = '{"accuracy": {"min": 0.1}}', '{"accuracy": {"min": 1.0}}'


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("overlay"), "faults") as installation:
        installation.parameters = {**BRIEF, "thresholds": LOW, "builder": "direct"}
        yield installation


def versions(here: Installation, model: str) -> list[int]:
    keys = here.store.keys(f"models/{model}/")
    return sorted(int(key.split("/")[2]) for key in keys if key.endswith("/manifest.json"))


def served(here: Installation, model: str) -> list[str]:
    """Name all that the cluster has of a model."""
    found = here.kubectl("get", "deployments,services", "--selector", f"colchis.dev/model={model}", "--output=name")
    return found.split()


def test_bad_data_ends_with_65_and_is_not_tried_again(here: Installation) -> None:
    store, bad = here.store, "data/bad/0"
    prefix = here.data.removeprefix(f"{here.url}/")
    for key in list(store.keys(prefix)):
        content = store.read(key)
        damaged = content[:-100] + bytes(100) if key.endswith("train-00000.npz") else content
        store.write(f"{bad}/{key.rpartition('/')[2]}", damaged)
    run = here.ended(here.submit(data=f"{here.url}/{bad}"))
    assert run.phase == "Failed"
    sentence = run.failed("validate-data", 65)
    assert sentence.startswith("train-00000.npz is corrupt: its sha256 is ")
    assert sentence.endswith("import the data again")
    assert run.outputs["summary"] == f"validate_data failed: {sentence}"
    assert run.node("train")["phase"] == "Omitted"


def test_a_no_of_the_gate_succeeds_or_fails_as_asked_and_deploys_nothing(here: Installation) -> None:
    names = [here.submit(model="no", thresholds=HIGH, fail_on_reject=answer) for answer in ("false", "true")]
    kind, strict = (here.ended(name) for name in names)
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


def stop(here: Installation, name: str, how: str) -> None:
    """Do what ``argo stop`` and ``argo terminate`` do."""
    patch = json.dumps({"spec": {"shutdown": how}})
    here.kubectl("patch", "workflow", name, "--type=merge", "--patch", patch)


@pytest.mark.parametrize(
    ("how", "task", "report"),
    [("Stop", "train", True), ("Terminate", "train", False), ("Stop", "rollout", True), ("Terminate", "upload", False)],
)
def test_a_run_that_is_stopped_leaves_nothing_behind(how: str, task: str, report: bool, here: Installation) -> None:
    model = f"{how.lower()}-{task}"
    name = here.submit(model=model)
    here.reached(name, task)
    stop(here, name, how)
    run = here.ended(name, 120)
    assert run.phase == "Failed", run.told()
    assert bool(run.outputs.get("summary")) is report, run.told()
    labels = f"workflows.argoproj.io/workflow={name}"

    def ended() -> bool:
        pods = here.get("pods", f"--selector={labels}")["items"]
        return all(pod["status"]["phase"] in {"Succeeded", "Failed"} for pod in pods)

    until(60, f"the end of the pods of {name}", ended)
    assert here.kubectl("get", "jobs", "--output=name") == ""
    registered = [key for key in here.store.keys(f"models/{model}/") if key.endswith("record.json")]
    assert (task == "rollout") is bool(registered)
    ready = here.get("deployments", f"--selector=colchis.dev/model={model}")["items"]
    routes = here.get("httproutes", f"--selector=colchis.dev/model={model}")["items"]
    stable = [key for key in here.store.keys(f"models/{model}/aliases/") if key.endswith("stable.json")]
    assert bool(routes) is bool(stable), "traffic goes where the alias says"
    assert bool(ready) is bool(stable), "pods that nothing routes to"


@pytest.mark.long
@pytest.mark.xfail(
    raises=AssertionError,
    reason="Argo 3.7.1 runs steps that succeeded before the failed one again, beside it, and never ends (argo #14796)",
)
def test_a_retry_of_a_run_that_failed_late_makes_no_second_version(here: Installation) -> None:
    here.kubectl("delete", "rolebinding", "colchis-rollout")
    try:
        name = here.submit(model="again")
        run = here.ended(name)
    finally:
        kubectl("apply", "--kustomize", str(here.directory))
    assert run.phase == "Failed"
    assert "may not" in run.failed("rollout", 65)
    assert versions(here, "again") == [1]
    retry(here, name)
    until(60, "the retry", lambda: here.run(name).phase == "Running" or None)
    again = here.ended(name, 120)
    assert again.phase == "Succeeded", again.told()
    assert again.uid == run.uid
    assert versions(here, "again") == [1]
    assert again.outputs["digest"] == run.outputs["digest"]
    assert again.outputs["summary"].startswith("served again version 1")


def retry(here: Installation, name: str) -> None:
    """Do what ``argo retry`` does, by the API of Argo's server."""
    import urllib.request

    from tests.cluster.installed import ARGO

    request = urllib.request.Request(
        f"{ARGO}/api/v1/workflows/{here.namespace}/{name}/retry",
        data=json.dumps({"namespace": here.namespace, "name": name}).encode(),
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=30) as done:
        assert done.status == 200


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
