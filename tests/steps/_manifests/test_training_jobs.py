"""What the jobs of a training look like: the golden files whole, and by name what keeps a training alive and apart."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from colchis_steps._manifests.job_options import JobOptions, job_options
from colchis_steps._manifests.objects import literal
from colchis_steps._manifests.training import KINDS, Training, rank_of
from colchis_steps._manifests.training_beside import beside
from colchis_steps._manifests.training_jobs import QUEUE, job, runtime
from colchis_steps._step.errors import InputError
from colchis_steps._training.rendezvous import place

GOLDEN = Path(__file__).parents[1] / "golden"
OWNER = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "run-x", "uid": "u-1"}
OPTIONS = job_options(
    '{"cpu": "2", "memory": "8Gi", "memory_limit": "16Gi", "gpus": 1, "node_selector": {"pool": "gpu"}, '
    '"tolerations": [{"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}], '
    '"priority": "high", "queue": "team-a", "scheduler": "volcano", "spot": true, "restarts": 3, "hours": 6}'
)
NAMES = {"tfjob": "tensorflow", "pytorchjob": "pytorch", "trainjob": "node"}  # by which their operators find them
every_backend = pytest.mark.parametrize("backend", sorted(KINDS))


def training(backend: str, options: JobOptions | None = None, **more: Any) -> Training:
    given: dict[str, Any] = {"run": "4c1f", "model": "digits", "workers": 3, "image": "ghcr.io/colchis/train:0.1.0"}
    flags = ["--store=s3://bucket", "--run=4c1f", '--hyperparameters={"note": "$(HOME)"}']
    return Training(backend=backend, flags=flags, options=options or JobOptions(), **(given | more))


def template(one: Training) -> dict[str, Any]:
    """Return the description of the pods, wherever the kind has it."""
    spec = runtime(one)["template"]["spec"] if one.backend == "trainjob" else job(one)["spec"]
    for name in ("tfReplicaSpecs", "pytorchReplicaSpecs"):
        if name in spec:
            return dict(spec[name]["Worker"]["template"])
    inner = spec["replicatedJobs"][0]["template"]["spec"] if "replicatedJobs" in spec else spec
    return dict(inner["template"])


@every_backend
def test_the_manifests_are_the_golden_ones(backend: str) -> None:
    """A change of these files is a change of what runs; write them anew with the lines below and review them."""
    one = training(backend, OPTIONS, workflow="run-x", account="colchis-worker", owner=OWNER)
    documents = [*beside(one, OWNER), job(one)]
    path = GOLDEN / f"training-{backend}.yaml"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump_all(documents, sort_keys=False, width=110))
        pytest.fail(f"{path} was missing and is written; look at it")
    assert documents == list(yaml.safe_load_all(path.read_text()))


@every_backend
def test_pods_are_locked_down_and_alike_but_for_what_the_kind_wants(backend: str) -> None:
    pod = template(training(backend))["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["name"] == NAMES.get(backend, "worker")
    assert container["command"] == ["python", "-m", "colchis_steps.worker"]
    assert container["args"][0] == "--store=s3://bucket"
    assert '--hyperparameters={"note": "$$(HOME)"}' in container["args"], "Kubernetes would fill it in"
    assert literal("$$(HOME)$") == "$$$$(HOME)$$", "it would be expanded after a dollar that stands for one"
    assert container["args"][-1] == f"--retry-exit-code={143 if backend in {'tfjob', 'pytorchjob'} else 75}"
    names = [variable["name"] for variable in container["env"]]
    assert ("COLCHIS_ADDRESSES" in names) is (backend != "tfjob"), "a TFJob's operator sets $TF_CONFIG"


@every_backend
def test_options_are_on_the_job_and_its_pods_and_only_where_asked_for(backend: str) -> None:
    plain, full = job(training(backend)), job(training(backend, OPTIONS))
    assert full["metadata"]["labels"][QUEUE] == "team-a"
    assert "team-a" not in str(plain)
    pod, nothing = template(training(backend, OPTIONS))["spec"], template(training(backend))["spec"]
    labels = template(training(backend, OPTIONS))["metadata"]["labels"]
    assert QUEUE not in labels, "the job waits in the queue, not each pod"
    limits = pod["containers"][0]["resources"]["limits"]
    assert limits == {"memory": "16Gi", "nvidia.com/gpu": "1"}
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert (pod["priorityClassName"], pod["schedulerName"]) == ("high", "volcano")
    keys = [toleration["key"] for toleration in pod["tolerations"]]
    assert keys[:2] == ["team", "nvidia.com/gpu"]
    assert "cloud.google.com/gke-spot" in keys
    for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "schedulerName"):
        assert name not in nothing
    suspended = full["spec"].get("runPolicy", full["spec"])
    assert suspended["suspend"] is True, "Kueue lets it go"
    assert "suspend" not in plain["spec"].get("runPolicy", plain["spec"])


def test_what_cannot_help_ends_an_indexed_job_and_what_may_help_starts_a_worker_again() -> None:
    spec = job(training("indexed-job"))["spec"]
    rules = {rule["action"]: rule for rule in spec["podFailurePolicy"]["rules"]}
    assert rules["FailJob"]["onExitCodes"]["values"] == [1, 2, 65]
    assert rules["Ignore"]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert rules["Count"]["onExitCodes"]["values"] == [75, 143]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (3, 3, "Indexed")
    assert spec["backoffLimit"] == 30, "each worker may be started again ten times"
    assert spec["podReplacementPolicy"] == "Failed", "no two pods of one name"


@pytest.mark.parametrize("backend", ["tfjob", "pytorchjob"])
def test_an_operators_job_restarts_by_exit_code_and_frees_nodes_but_keeps_ended_pods(backend: str) -> None:
    spec = job(training(backend, OPTIONS))["spec"]
    replicas = spec.get("tfReplicaSpecs") or spec["pytorchReplicaSpecs"]
    assert replicas.keys() == {"Worker"}
    assert replicas["Worker"]["restartPolicy"] == "ExitCode"
    assert spec["runPolicy"]["cleanPodPolicy"] == "Running"
    assert spec["runPolicy"]["schedulingPolicy"] == {"minAvailable": 3, "priorityClass": "high"}
    assert spec.get("successPolicy", "AllWorkers") == "AllWorkers"
    annotations = template(training(backend))["metadata"]["annotations"]
    assert annotations == {"sidecar.istio.io/inject": "false"}


def test_addresses_are_the_names_that_each_kind_gives_its_pods() -> None:
    name = training("indexed-job").name
    assert training("indexed-job").addresses[1] == f"{name}-1.{name}:2222"
    assert training("jobset").addresses[1] == f"{name}-worker-0-1.{name}:2222"
    assert training("pytorchjob").addresses[1] == f"{name}-worker-1:2222"
    assert training("trainjob").addresses[1] == f"{name}-node-0-1.{name}:2222"


def test_a_train_jobs_environment_has_rank_addresses_and_tf_config() -> None:
    one = training("trainjob", workers=2)
    (container,) = template(one)["spec"]["containers"]
    variables = {variable["name"]: variable for variable in container["env"]}
    rank = variables["COLCHIS_RANK"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert rank == "metadata.labels['batch.kubernetes.io/job-completion-index']"
    assert variables["COLCHIS_ADDRESSES"]["value"] == ",".join(one.addresses)
    config = variables["TF_CONFIG"]["value"]
    assert list(variables).index("COLCHIS_RANK") < list(variables).index("TF_CONFIG"), "or it is not filled in"
    for index in range(2):
        filled = {"TF_CONFIG": config.replace("$(COLCHIS_RANK)", str(index))}
        assert place(filled) == place({"COLCHIS_ADDRESSES": ",".join(one.addresses), "COLCHIS_RANK": str(index)})


def test_a_train_job_names_its_runtime_and_a_change_of_that_is_a_change_of_the_job() -> None:
    one = training("trainjob")
    made, (_, found) = job(one), beside(one)
    assert made["spec"]["runtimeRef"] == {
        "apiGroup": "trainer.kubeflow.org",
        "kind": found["kind"],
        "name": found["metadata"]["name"],
    }
    assert found["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["metadata"]["labels"] == {
        "trainer.kubeflow.org/trainjob-ancestor-step": "trainer"
    }
    other = job(training("trainjob", image="other"))
    assert made["spec"] == other["spec"]
    assert made["metadata"]["annotations"] != other["metadata"]["annotations"]
    gang = runtime(training("trainjob", job_options('{"scheduler": "volcano"}')))
    assert gang["podGroupPolicy"] == {"volcano": {}}


@pytest.mark.parametrize("backend", ["jobset", "trainjob"])
def test_what_cannot_help_ends_a_jobset_and_a_lost_worker_starts_all_again(backend: str) -> None:
    one = training(backend, OPTIONS)
    spec = runtime(one)["template"]["spec"] if backend == "trainjob" else job(one)["spec"]
    policy = spec["failurePolicy"]
    (rule,) = policy["rules"]
    assert (policy["maxRestarts"], rule["action"]) == (3, "FailJobSet")
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy", "DeadlineExceeded"]
    assert rule["name"], "without one a TrainingRuntime is refused; a JobSet would be given one"
    (workers,) = spec["replicatedJobs"]
    assert workers["template"]["spec"]["backoffLimit"] == 0


@every_backend
def test_how_long_a_job_is_kept_is_on_it(backend: str) -> None:
    spec = job(training(backend, job_options('{"keep": "36h"}')))["spec"]
    seconds = spec.get("runPolicy", spec).get("ttlSecondsAfterFinished")
    assert seconds == (None if backend == "trainjob" else 129_600), "a TrainJob has no such field in Trainer 2.3"
    plain = job(training(backend))["spec"]
    assert plain.get("runPolicy", plain).get("ttlSecondsAfterFinished") == (None if backend == "trainjob" else 86_400)


def test_a_name_comes_from_run_and_model_and_leaves_room_for_a_worker() -> None:
    one = training("tfjob", model="a" * 40)
    assert one.name == training("indexed-job", model="a" * 40, image="other").name
    assert one.name != training("tfjob", model="a" * 40, run="other").name
    assert one.name != training("tfjob", model="a" * 39 + "b").name
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])", one.name), "a label of DNS with -worker-1234 behind it"
    assert "--" not in training("tfjob", model="a" * 27 + "-b").name


def test_what_was_asked_for_is_told_apart() -> None:
    asked = [
        job(one)["metadata"]["annotations"]["colchis.dev/asked"]
        for one in (
            training("tfjob"),
            training("tfjob", owner=OWNER),
            training("tfjob", image="new"),
            training("tfjob", workers=2),
        )
    ]
    assert asked[0] == asked[1], "the workflow's retry has another owner at most"
    assert len(set(asked)) == 3


@pytest.mark.parametrize(
    ("labels", "rank"),
    [
        ({"labels": {"batch.kubernetes.io/job-completion-index": "2"}}, 2),
        ({"labels": {}, "annotations": {"batch.kubernetes.io/job-completion-index": "1"}}, 1),
        ({"labels": {"training.kubeflow.org/replica-index": "3"}}, 3),
        ({}, 0),
    ],
)
def test_a_pods_rank_is_read_as_its_kind_writes_it(labels: dict[str, Any], rank: int) -> None:
    assert rank_of({"metadata": labels}) == rank


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", r"job options '\[1\]': Expected `object`"),
        ("{", "job options '{': Input data was truncated"),
        ('{"gpu": 1}', "unknown field `gpu`; give JSON like .*there are cpu, memory, .*gpus"),
        ('{"gpus": "1"}', r"Expected `int`, got `str` - at `\$.gpus`"),
        ('{"gpus": -1}', r"Expected `int` >= 0 - at `\$.gpus`"),
        ('{"hours": 0}', r"Expected `int` >= 1 - at `\$.hours`"),
        ('{"memory": "lots"}', r"at `\$.memory`; give JSON like .*16Gi"),
        ('{"keep": "1 day"}', r"at `\$.keep`; give JSON like"),
        ('{"keep": "0h"}', r"at `\$.keep`"),
        ('{"queue": "Team A"}', r"at `\$.queue`; give JSON like .*team-a"),
        ('{"tolerations": [{"keys": "a"}]}', "unknown field `keys`"),
    ],
)
def test_wrong_options_are_sentences(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        job_options(text)


def test_no_options_are_the_defaults() -> None:
    assert job_options("") == job_options("{}") == JobOptions()
