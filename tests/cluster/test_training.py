"""Training as a job on the cluster, in a workflow as users run it: two worker pods, faults, and what is left.

An operator's kinds are tested where its CRDs are.
"""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from tests.cluster.conftest import SMALL_JOB
from tests.cluster.installed import NEEDS_CLUSTER, Installation, Run, has, until

from colchis_steps._formats.keys import candidate_blob_key, training_key
from colchis_steps._formats.models import Candidate
from colchis_steps._formats.training import History
from colchis_steps._kube.outcome import outcome_of
from colchis_steps._manifests.objects import KINDS as OBJECTS
from colchis_steps._manifests.training import KINDS, Training
from colchis_steps._manifests.training_beside import beside
from colchis_steps._store.documents import find_document, read_document

pytestmark = NEEDS_CLUSTER
SHORT, LONG = 3, 5000  # epochs
OTHERS = ["jobset", "trainjob", "pytorchjob"]
WITH_TIME = [pytest.param(backend, marks=pytest.mark.long) for backend in ("tfjob", "jobset", "trainjob")]


def needs(backend: str) -> None:
    """Skip where the kind is not installed."""
    if not has(backend):
        pytest.skip(f"the cluster has no {KINDS[backend]}")


def submit(here: Installation, run: str, backend: str, epochs: int = SHORT, **more: str) -> str:
    hyperparameters = json.dumps({"epochs": epochs, "global_batch": 64, "seed": 7})
    given = {"store": here.url, "data": here.data, "model": "digits", "workers": "2", "job_options": SMALL_JOB}
    given |= {"run": run, "backend": backend, "hyperparameters": hyperparameters}
    return here.submit("colchis-train", **(given | more))


def jobs(here: Installation, backend: str, run: str) -> list[dict[str, Any]]:
    kind = OBJECTS[KINDS[backend]][1]
    return list(here.get(kind, f"--selector=app.kubernetes.io/managed-by=colchis,colchis.dev/run={run}")["items"])


def workers(here: Installation, workflow: str) -> list[dict[str, Any]]:
    """Return the workers' pods, found as ``argo logs`` finds them."""
    labels = f"workflows.argoproj.io/workflow={workflow},app.kubernetes.io/component=worker"
    return sorted(here.get("pods", f"--selector={labels}")["items"], key=lambda pod: str(pod["metadata"]["name"]))


def epochs(here: Installation, run: str) -> int:
    found = find_document(here.store, training_key(run, "history.json"), History)
    return len(found.epochs) if found else 0


def trains(here: Installation, name: str, run: str, epoch: int) -> None:
    """Wait until the run has come to the epoch."""

    def there() -> bool:
        assert here.run(name).phase in {"", "Pending", "Running"}, here.run(name).told()
        return epochs(here, run) >= epoch

    until(120, f"epoch {epoch} of {run}", there)


def log_of(here: Installation, run: str, rank: int) -> str:
    return here.store.read(training_key(run, f"worker-{rank}.log")).decode()


def nothing_left(here: Installation, backend: str, workflow: str, run: str) -> None:
    """Hold the cluster to what was there before, but for what the workflow itself keeps."""
    until(60, "the end of the job", lambda: not jobs(here, backend, run))
    until(60, "the end of the workers", lambda: not workers(here, workflow))
    services = f"--selector=app.kubernetes.io/managed-by=colchis,colchis.dev/run={run}"
    for kind in ["services", "networkpolicies", *(["trainingruntimes"] if backend == "trainjob" else [])]:
        until(30, f"the end of {kind}", lambda kind=kind: not here.get(kind, services)["items"])  # type: ignore[misc]


def succeeded(here: Installation, name: str, run: str, seconds: float = 180) -> tuple[Run, Candidate]:
    ended = here.ended(name, seconds)
    assert ended.phase == "Succeeded", ended.told()
    candidate = read_document(here.store, f"runs/{run}/candidate/model.json", Candidate)
    return ended, candidate


@pytest.fixture(scope="module")
def side_by_side(here: Installation) -> Iterator[dict[str, Future[None]]]:
    """Begin the trainings of the suite that need nothing of each other."""
    with ThreadPoolExecutor(3) as pool:
        trials = {backend: pool.submit(two_workers, here, backend) for backend in ("indexed-job", "tfjob")}
        yield trials | {"bad": pool.submit(bad_input, here, "indexed-job")}


@pytest.mark.parametrize("backend", ["indexed-job", "tfjob"])
def test_two_worker_pods_train_and_leave_nothing_but_the_model_and_their_logs(
    side_by_side: dict[str, Future[None]], backend: str
) -> None:
    side_by_side[backend].result()


def test_bad_input_ends_the_run_at_once_with_the_workers_sentence(side_by_side: dict[str, Future[None]]) -> None:
    side_by_side["bad"].result()


@pytest.mark.long
@pytest.mark.parametrize("backend", OTHERS)
def test_the_other_kinds_of_job_do_the_same(here: Installation, backend: str) -> None:
    two_workers(here, backend)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["tfjob", "jobset", "trainjob"])
def test_bad_input_ends_each_other_kind_of_job_at_once(here: Installation, backend: str) -> None:
    bad_input(here, backend)


@pytest.mark.parametrize("backend", sorted(KINDS))
def test_a_cluster_takes_what_stands_beside_a_job(here: Installation, backend: str) -> None:
    """The API server checks them by a dry run; a policy that it took for another would select nothing."""
    needs(backend)
    one = Training(backend, "dry", "digits", 2, "train:1", ["--run=dry"])
    for thing in beside(one):
        given = {**thing, "metadata": {**thing["metadata"], "namespace": here.namespace}}
        answer = here.kubectl(
            "apply", "--server-side", "--dry-run=server", "--output=json", "--filename=-", given=given
        )
        if thing["kind"] == "NetworkPolicy":
            assert json.loads(answer)["spec"] == thing["spec"]


def two_workers(here: Installation, backend: str) -> None:
    needs(backend)
    run = f"short-{backend}"
    name = submit(here, run, backend)
    (job,) = until(90, "the job", lambda: jobs(here, backend, run) or None)
    pods = until(90, "two worker pods", lambda: found if len(found := workers(here, name)) == 2 else None)
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("Workflow", name)
    assert owner["uid"] == here.run(name).uid
    (policy,) = here.get("networkpolicies", f"--selector=colchis.dev/run={run}")["items"]
    for pod in pods:
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert [v["name"] for v in pod["spec"]["volumes"]] == ["tmp", "keys"]
    ended, candidate = succeeded(here, name, run)
    assert [node["displayName"] for node in ended.attempts("job")] == ["job(0)"], ended.told()
    assert candidate.signature["outputs"].keys() == {"class", "probability"}
    assert all(here.store.size(candidate_blob_key(run, file.sha256)) == file.size for file in candidate.files)
    assert f"epoch {SHORT} of {SHORT}: loss" in log_of(here, run, 0)
    assert log_of(here, run, 1) is not None
    step = here.get("pods", f"--selector=workflows.argoproj.io/workflow={name},app.kubernetes.io/component=train")
    (follower,) = [pod for pod in step["items"] if "-job-" in pod["metadata"]["name"]]
    told = here.kubectl("logs", follower["metadata"]["name"], "--container=main")
    assert f"epoch {SHORT} of {SHORT}: loss" in told, "the chief's log was not handed on"
    nothing_left(here, backend, name, run)


@pytest.mark.parametrize("backend", ["indexed-job", *WITH_TIME])
def test_a_step_that_died_finds_its_job_again_a_lost_worker_goes_on_and_a_stop_leaves_nothing(
    here: Installation, backend: str
) -> None:
    needs(backend)
    run = f"faults-{backend}"
    name = submit(here, run, backend, LONG)
    trains(here, name, run, 3)
    (job,) = jobs(here, backend, run)
    pods = [pod["metadata"]["uid"] for pod in workers(here, name)]
    here.kubectl("delete", "pod", here.reached(name, "train"), "--wait=false")
    until(60, "the second attempt", lambda: len(here.run(name).attempts("job")) == 2)
    second = until(60, "its pod", lambda: running(here, name))
    until(60, "its first words", lambda: "is there already; following it" in here.kubectl("logs", second, "-c", "main"))
    assert [found["metadata"]["uid"] for found in jobs(here, backend, run)] == [job["metadata"]["uid"]]
    assert [pod["metadata"]["uid"] for pod in workers(here, name)] == pods, "a worker was started again"

    reached = epochs(here, run)
    victim = workers(here, name)[1]["metadata"]["name"]
    here.kubectl("delete", "pod", victim, "--force", "--grace-period=0", "--wait=false")  # SIGKILL
    until(
        90, "the way on", lambda: re.search(r"going on after epoch (\d+)", here.kubectl("logs", second, "-c", "main"))
    )
    told = re.findall(r"going on after epoch (\d+) of", here.kubectl("logs", second, "-c", "main"))
    assert int(told[-1]) >= reached
    trains(here, name, run, int(told[-1]) + 2)
    if backend != "tfjob":  # the operator fails a job whose pod is deleted, and the step makes it anew
        assert [found["metadata"]["uid"] for found in jobs(here, backend, run)] == [job["metadata"]["uid"]]
    show = "import os; print(open(os.environ['ARGO_PROGRESS_FILE']).read())"  # Argo takes it over once a minute
    done, _, total = here.kubectl("exec", second, "--container=main", "--", "python", "-c", show).strip().partition("/")
    assert (int(done) >= 3, int(total)) == (True, LONG)

    here.kubectl("patch", "workflow", name, "--type=merge", "--patch", '{"spec": {"shutdown": "Stop"}}')  # argo stop
    until(40, "the end of the job", lambda: not jobs(here, backend, run))
    ended = here.ended(name, 60)
    assert (ended.phase, len(ended.attempts("job"))) == ("Failed", 2), ended.told()
    nothing_left(here, backend, name, run)
    assert f"going on after epoch {told[-1]} of {LONG}" in log_of(here, run, 0)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["indexed-job", "tfjob", "jobset", "trainjob"])
def test_a_job_that_is_kept_goes_when_its_time_is_over(here: Installation, backend: str) -> None:
    needs(backend)
    run = f"kept-{backend}"
    name = submit(here, run, backend, job_options=SMALL_JOB.replace("}", ', "keep": "1m"}'))
    succeeded(here, name, run)
    (job,) = jobs(here, backend, run)
    outcome = outcome_of(job)
    assert outcome
    assert outcome.good
    if backend != "trainjob":
        until(120, "the end of the job", lambda: not jobs(here, backend, run))
        nothing_left(here, backend, name, run)
        return
    # a TrainJob has no time to live in Trainer 2.3, but what it made has; and it is not trained again
    until(120, "the end of its JobSet", lambda: not jobs(here, "jobset", run))
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert not jobs(here, "jobset", run)
        time.sleep(2)
    (left,) = jobs(here, backend, run)
    assert (left["metadata"]["uid"], workers(here, name)) == (job["metadata"]["uid"], [])


def running(here: Installation, name: str) -> str | None:
    labels = f"workflows.argoproj.io/workflow={name},app.kubernetes.io/component=train"
    found = here.get("pods", f"--selector={labels}")["items"]
    alive = [pod for pod in found if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]]
    return str(alive[0]["metadata"]["name"]) if alive else None


def bad_input(here: Installation, backend: str) -> None:
    needs(backend)
    run = f"bad-{backend}"
    name = submit(here, run, backend, entry="colchis_steps.classifier:nothing")
    ended = here.ended(name)
    sentence = ended.failed("job", 65)
    assert sentence.startswith("entry 'colchis_steps.classifier:nothing': colchis_steps.classifier has no function")
    nothing_left(here, backend, name, run)
