"""What runs the workers on a cluster: a job of one of five kinds, with the same pods, image and environment.

Pure: values in, manifests out. Worker 0 is the chief. Each worker finds its peers by $COLCHIS_ADDRESSES and its own
rank by $JOB_COMPLETION_INDEX or $COLCHIS_RANK; on a TFJob by the $TF_CONFIG that the operator sets.
"""

from collections.abc import Sequence

from colchis_steps._formats.documents import canonical_digest
from colchis_steps._manifests.objects import KINDS, Object
from colchis_steps._manifests.training import CONTAINERS, Training
from colchis_steps._manifests.training_pods import pod

ASKED = "colchis.dev/asked"  # on the job: the digest of what was asked for
QUEUE = "kueue.x-k8s.io/queue-name"
ANCESTOR = "trainer.kubeflow.org/trainjob-ancestor-step"  # by which Kubeflow Trainer finds the job that trains
AGAIN = (75, 143)  # lost its peers, or asked to stop
NEVER_AGAIN = (1, 2, 65)  # a bug, wrong flags, bad input: the same again
GANGS: dict[str, Object] = {  # the gang schedulers that Trainer knows
    "volcano": {"volcano": {}},
    "scheduler-plugins-scheduler": {"coscheduling": {}},
}


def job(training: Training) -> Object:
    """Describe the job; its annotation says what was asked for, so that a change of that is seen."""
    makers = {"indexed-job": indexed_job, "tfjob": tfjob, "pytorchjob": pytorchjob, "jobset": jobset}
    spec = trainjob(training) if training.backend == "trainjob" else makers[training.backend](training)
    asked = [spec, runtime(training)] if training.backend == "trainjob" else spec
    queue = {QUEUE: training.options.queue} if training.options.queue else {}
    metadata: Object = {
        "name": training.name,
        "labels": training.labels | queue,
        "annotations": {ASKED: canonical_digest(asked)},
    }
    if training.owner:
        metadata["ownerReferences"] = [training.owner]
    return {"apiVersion": KINDS[training.kind][0], "kind": training.kind, "metadata": metadata, "spec": spec}


def indexed_job(training: Training) -> Object:
    """Describe an Indexed Job: what cannot help ends it at once, disruptions cost nothing, the rest counts."""
    return _job_spec(training, {"subdomain": training.name}) | {
        "activeDeadlineSeconds": training.options.hours * 3600,
        "ttlSecondsAfterFinished": training.options.seconds_kept,
        **_suspended(training),  # until Kueue admits it
    }


def jobset(training: Training) -> Object:
    """Describe a JobSet of one Indexed Job; its controller makes the Service, and starts all workers again together."""
    spec = _job_spec(training, {}) | {"backoffLimit": 0, "activeDeadlineSeconds": training.options.hours * 3600}
    return _jobset_spec(training, {"name": "worker", "replicas": 1, "template": {"spec": spec}}) | {
        "ttlSecondsAfterFinished": training.options.seconds_kept,
        **_suspended(training),
    }


def trainjob(training: Training) -> Object:
    """Describe a TrainJob; what it runs stands in the TrainingRuntime of its name, see ``runtime``.

    It has no time to live: Kubeflow Trainer 2.3 would train again when its failed JobSet is gone.
    """
    return {
        "runtimeRef": {
            "apiGroup": "trainer.kubeflow.org",
            "kind": "TrainingRuntime",
            "name": training.name,
        },
        "trainer": {"numNodes": training.workers},
        "activeDeadlineSeconds": training.options.hours * 3600,
        **_suspended(training),
    }


def runtime(training: Training) -> Object:
    """Describe the specification of the TrainingRuntime of one TrainJob: a JobSet of one Indexed Job."""
    spec = _job_spec(training, {}) | {"backoffLimit": 0}
    template = {"metadata": {"labels": {ANCESTOR: "trainer"}}, "spec": spec}
    gang = GANGS.get(training.options.scheduler)
    return {
        "mlPolicy": {"numNodes": training.workers},
        **({"podGroupPolicy": gang} if gang else {}),
        "template": {
            "metadata": {"labels": training.labels},  # of the JobSet
            "spec": _jobset_spec(training, {"name": "node", "replicas": 1, "template": template}),
        },
    }


def tfjob(training: Training) -> Object:
    """Describe a TFJob: done when all workers are; pods that have ended stay to be read."""
    return {
        "successPolicy": "AllWorkers",
        "runPolicy": _run_policy(training),
        "tfReplicaSpecs": {"Worker": _replicas(training)},
    }


def pytorchjob(training: Training) -> Object:
    """Describe a PyTorchJob of workers alone.

    With a Master the operator would put an init container from Docker Hub before each worker, and end with the Master.
    """
    return {"runPolicy": _run_policy(training), "pytorchReplicaSpecs": {"Worker": _replicas(training)}}


def _suspended(training: Training) -> Object:
    return {"suspend": True} if training.options.queue else {}


def _jobset_spec(training: Training, workers: Object) -> Object:
    return {
        "network": {"enableDNSHostnames": True, "subdomain": training.name, "publishNotReadyAddresses": True},
        "failurePolicy": {
            "maxRestarts": training.options.restarts,
            "rules": [
                {
                    "name": "final",
                    "action": "FailJobSet",
                    "onJobFailureReasons": ["PodFailurePolicy", "DeadlineExceeded"],
                }
            ],
        },
        "successPolicy": {"operator": "All", "targetReplicatedJobs": [workers["name"]]},
        "replicatedJobs": [workers],
    }


def _job_spec(training: Training, network: Object) -> Object:
    count, container = training.workers, CONTAINERS[training.backend]

    def ended_with(codes: Sequence[int]) -> Object:
        return {"containerName": container, "operator": "In", "values": list(codes)}

    return {
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": count,
        "backoffLimit": training.options.restarts * count,  # one that is lost ends all
        "podReplacementPolicy": "Failed",  # never two pods of one name
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onExitCodes": ended_with(NEVER_AGAIN)},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "Count", "onExitCodes": ended_with(AGAIN)},
            ]
        },
        "template": pod(training, network | {"restartPolicy": "Never"}),
    }


def _run_policy(training: Training) -> Object:
    options = training.options
    policy: Object = {
        "cleanPodPolicy": "Running",
        "backoffLimit": options.restarts * training.workers,
        "activeDeadlineSeconds": options.hours * 3600,
        "ttlSecondsAfterFinished": options.seconds_kept,
        **_suspended(training),
    }
    if options.scheduler:
        policy["schedulingPolicy"] = {"minAvailable": training.workers}
        policy["schedulingPolicy"] |= {"priorityClass": options.priority} if options.priority else {}
    return policy


def _replicas(training: Training) -> Object:
    return {"replicas": training.workers, "restartPolicy": "ExitCode", "template": pod(training, {})}
