"""``argo stop`` and ``argo terminate`` in each phase leave nothing behind; ``argo retry`` goes on from there.

The runs go side by side. The suite has one of each kind of thing that could be left: a half version, kaniko's push,
a half rollout (test_training.py stops a training's Job); the others are long.
"""

import dataclasses
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

import pytest
from tests.cluster.conftest import SMALL_JOB
from tests.cluster.installed import NEEDS_CLUSTER, Installation, Run, until

from colchis_steps._formats.models import Manifest
from colchis_steps._store.documents import read_document

pytestmark = NEEDS_CLUSTER
BRIEF = {
    "workers": "1",
    "hyperparameters": '{"epochs": 1, "global_batch": 64, "learning_rate": 0.01}',
    "thresholds": '{"accuracy": {"min": 0.1}}',
    "builder": "direct",
    "job-options": SMALL_JOB,
}
TASKS = ["validate-data", "job", "workers", "evaluate", "upload", "kaniko", "pack", "register", "rollout", "report"]
MORE = {"job": {"backend": "indexed-job"}, "kaniko": {"builder": "kaniko"}}
BAD = {"Failed", "Error"}
Case = tuple[str, str]  # how it is stopped, and in which task
CASES: list[Case] = [(how, task) for how in ("Stop", "Terminate") for task in TASKS]
CASES.remove(("Stop", "report"))  # `argo stop` lets the exit handler run, which is this
QUICK: list[Case] = [("Terminate", "upload"), ("Terminate", "kaniko"), ("Stop", "rollout")]
SLOW = [case for case in CASES if case not in QUICK]


@pytest.fixture(scope="module")
def here(here: Installation) -> Installation:
    return dataclasses.replace(here, parameters=BRIEF)


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest, here: Installation) -> Iterator[dict[Case, Future[None]]]:
    """Begin the cases that are asked for; the short suite retries a run in test_faults_away.py."""
    tests = (item for item in request.session.items if isinstance(item, pytest.Function))
    asked = [cast(Case, test.callspec.params["case"]) for test in tests if "trials" in test.fixturenames]
    with ThreadPoolExecutor(4) as pool:
        yield {case: pool.submit(trial, here, *case, retried=case in SLOW) for case in asked}


def trial(here: Installation, how: str, task: str, *, retried: bool) -> None:
    """Stop a run in a task, see that nothing is left of it, and retry it.

    A task that was through all the same has not failed, and `argo retry` finds nothing to begin with.
    """
    model = f"{how}-{task}".lower()
    name = here.submit(model=model, **MORE.get(task, {}))
    here.reached(name, task)
    here.kubectl("patch", "workflow", name, "--type=merge", "--patch", json.dumps({"spec": {"shutdown": how}}))
    run = here.ended(name)
    through = task == "report" and run.phase == "Succeeded"  # nothing comes after it that could still be stopped
    assert run.phase == "Failed" or through, run.told()
    assert bool(run.outputs.get("summary")) is (how == "Stop" or through), run.told()
    holds(here, run, model)
    assert TASKS.index(task) >= TASKS.index("upload") or not versions(here, model)
    if retried and any(node["type"] == "Pod" and node["phase"] in BAD for node in run.nodes):
        here.retry(name, by={"Stop": "server", "Terminate": "command"}[how])
        until(60, "the retry", lambda: here.run(name).phase == "Running" or None)
        again = here.ended(name, 400)
        assert (again.phase, again.uid) == ("Succeeded", run.uid), again.told()
        assert versions(here, model) == [1]
        assert again.outputs["summary"].startswith(f"served {model} version 1")
        holds(here, again, model)


def versions(here: Installation, model: str) -> list[int]:
    keys = here.keys(f"models/{model}/")
    return sorted(int(key.split("/")[2]) for key in keys if key.endswith("/manifest.json"))


def holds(here: Installation, run: Run, model: str) -> None:
    """Hold what is there to what may be: no pod or job of the run, whole versions, pods only for what is served."""

    def ended() -> bool:
        pods = here.get("pods", f"--selector=workflows.argoproj.io/workflow={run.name}")["items"]
        return all(pod["status"]["phase"] in {"Succeeded", "Failed"} for pod in pods)

    until(60, f"the end of the pods of {run.name}", ended)
    assert not here.get("jobs", f"--selector=colchis.dev/run={run.uid}")["items"]
    for version in versions(here, model):
        manifest = read_document(here.store, f"models/{model}/{version}/manifest.json", Manifest)
        assert all(here.store.size(f"blobs/sha256/{file.sha256}") == file.size for file in manifest.files)
    found = {key.rpartition("/")[2] for key in here.keys(f"models/{model}/")}
    assert "manifest.json" in found or not found, found
    ready = here.get("deployments", f"--selector=colchis.dev/model={model}")["items"]
    routes = here.get("httproutes", f"--selector=colchis.dev/model={model}")["items"]
    assert bool(routes) is ("stable.json" in found), "traffic goes where the alias says"
    assert bool(ready) is ("stable.json" in found), "pods that nothing routes to"


@pytest.mark.parametrize("case", QUICK, ids="-".join)
def test_a_run_that_is_stopped_leaves_nothing_behind(case: Case, trials: dict[Case, Future[None]]) -> None:
    trials[case].result()


@pytest.mark.long
@pytest.mark.parametrize("case", SLOW, ids="-".join)
def test_a_run_that_is_stopped_leaves_nothing_behind_and_goes_on_when_it_is_retried(
    case: Case, trials: dict[Case, Future[None]]
) -> None:
    trials[case].result()
