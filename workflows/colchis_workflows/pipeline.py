"""``colchis-pipeline``: data → validate → prepare → train → evaluate → publish, and a report however it ends.

No pod comes after a DAG in its own DAG: `argo retry` of Argo 3.7.18 takes that DAG for the one that the pod is in, and
the run never ends. So ``candidate`` and ``release`` hold the pods of training and build themselves.

A model is published on a comparison with what is stable then, by the policy of then: where one has moved since,
``again`` judges it once more while ``publish`` holds the model's mutex, by what is kept of both versions row by row.
Where that is not kept of the stable one on these data, ``anew`` asks both. What evaluate found goes on by arguments,
out of reach of whoever can write to the bucket.
"""

from hera.workflows import DAG, Parameter, Task, WorkflowTemplate, models

from colchis_workflows import build_image, evaluate, prepare, rollout, train, validate_data
from colchis_workflows._templates.approve import approve
from colchis_workflows._templates.step import inputs_of, output_of, task, workflow_template
from colchis_workflows.settings import Settings

ARGUMENTS = [
    *("model", "data", "only-new-data", "rules", "schema", "reference", "prepare", "store", "code", "entry"),
    *("hyperparameters", "backend", "workers", "job-options", "thresholds", "metrics", "first-model", "plain-prefix"),
    *("builder", "repository", "target", "runtime", "steps", "serve-image", "serve-options", "model-volume", "preheat"),
    *("approval", "tolerances", "fail-on-reject", "train-image"),
]
CANDIDATE = [name for name in dict.fromkeys([*train.INPUTS, *evaluate.INPUTS]) if name != "tree"]
RELEASE = [
    *("store", "run", "model", "builder", "repository", "target", "runtime", "steps", "serve-image", "serve-options"),
    *("model-volume", "preheat", "approval", "tolerances", "fail-on-reject", "train-image"),
]
JUDGING = [
    "data",
    "data-digest",
    "thresholds",
    "metrics",
    "code",
    "first-model",
]  # what judging again takes beside these
PUBLISH = [*RELEASE, "plain-prefix", *JUDGING]
UPLOAD = ["store", "run", "model", "plain-prefix"]
SERVED = [name for name in rollout.INPUTS if name in RELEASE]  # the rest of a rollout's inputs has its defaults
LIFE = {
    "workflow": "{{workflow.namespace}}/{{workflow.name}}",
    "created-by": "{{workflow.labels.json}}",  # Argo 3.7 gives a label found by an expression to the first tasks only
}
CREATOR = 'workflow?.labels?.workflows?.argoproj?.["io/creator"] ?? workflow.serviceAccountName'
DAY = 86_400


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template: its arguments are all that a submitter sets; the run's id is the workflow's uid."""
    return workflow_template(
        settings,
        "Colchis: from data to a served model",
        "Validates the data, trains, judges the model, and, where the gate says pass, uploads, packs, registers and "
        "rolls it out. `report` shows what happened, whatever happened.",
        ARGUMENTS,
        [
            _pipeline(),
            *prepare.dags(),
            _candidate(),
            _publish(),
            _again(),
            _anew(),
            _release(),
            _approval(),
            approve(),
        ],
        **life(),
    )


def life() -> dict[str, object]:
    """Return what a run that makes a version has: its report at the end, its labels, how long it is kept."""
    return {
        "hooks": {"exit": _report()},
        "workflow_metadata": models.WorkflowMetadata(
            labels_from={
                "colchis.dev/model": models.LabelValueFrom(expression="workflow.parameters.model"),
                "colchis.dev/created-by": models.LabelValueFrom(expression=CREATOR),
            }
        ),
        "pod_metadata": models.Metadata(
            labels={"colchis.dev/model": "{{workflow.parameters.model}}", "colchis.dev/run": "{{workflow.uid}}"}
        ),
        "parallelism": 4,
        "active_deadline_seconds": 2 * DAY,
        "pod_gc": models.PodGC(strategy="OnWorkflowSuccess", delete_delay_duration="600s"),
        "ttl_strategy": models.TTLStrategy(seconds_after_success=7 * DAY, seconds_after_failure=30 * DAY),
    }


def from_workflow(names: list[str]) -> dict[str, str]:
    """Return arguments that hand the workflow's own on; the run's id is the workflow's uid."""
    values = {name: f"{{{{workflow.parameters.{name}}}}}" for name in names}
    return values | ({"run": "{{workflow.uid}}"} if "run" in names else {})


def outputs_of(task_name: str, names: list[str]) -> dict[str, str]:
    """Return arguments that hand a task's outputs on."""
    return {name: f"{{{{tasks.{task_name}.outputs.parameters.{name}}}}}" for name in names}


def _pipeline() -> DAG:
    new = "{{tasks.validate-data.outputs.parameters.new-data}} == true"
    raw = {"data-digest": "{{tasks.validate-data.outputs.parameters.digest}}"}
    # what was prepared, or what was ready without: the other one is empty
    data = {
        name: f"{{{{tasks.prepare.outputs.parameters.{made}}}}}{{{{tasks.validate-data.outputs.parameters.{ready}}}}}"
        for name, made, ready in (("data", "data", "ready"), ("data-digest", "digest", "ready-digest"))
    }
    return DAG(
        name="pipeline",
        tasks=[
            task("validate-data", from_workflow(validate_data.INPUTS)),
            task(
                "prepare",
                from_workflow(prepare.INPUTS) | outputs_of("validate-data", ["data", "prepares"]) | raw,
                template="prepare",
                depends="validate-data",
                when=new,
            ),
            task(
                "candidate",
                from_workflow(CANDIDATE) | data,
                template="candidate",
                depends="prepare.Succeeded",
                when=new,
            ),
            task(
                "publish",
                from_workflow(PUBLISH) | data | outputs_of("candidate", evaluate.FOUND),
                template="publish",
                depends="prepare.Succeeded && candidate.Succeeded",
                when="{{tasks.candidate.outputs.parameters.verdict}} == pass",
            ),
        ],
    )


def _candidate() -> DAG:
    """Return what makes a model and judges it."""
    return DAG(
        name="candidate",
        target="job train evaluate",  # all: whichever a stopped run got to, `argo retry` finds publish after it
        inputs=[Parameter(name=name) for name in CANDIDATE],
        outputs=[output_of("evaluate", "verdict", "fail"), *(output_of("evaluate", name) for name in evaluate.FOUND)],
        tasks=[
            *train.tasks(inputs_of(train.INPUTS), "colchis-train"),
            task("evaluate", inputs_of(evaluate.INPUTS) | outputs_of("train", ["tree"]), depends="train"),
        ],
    )


def _publish() -> DAG:
    """Return what happens to a model that passed; runs of one model take turns here and nowhere else."""
    current = "{{tasks.upload.outputs.parameters.current}}"
    return DAG(
        name="publish",
        inputs=[Parameter(name=name) for name in [*PUBLISH, *evaluate.FOUND]],
        synchronization=models.Synchronization(mutexes=[models.Mutex(name="colchis-{{inputs.parameters.model}}")]),
        tasks=[
            task("upload", inputs_of([*UPLOAD, *evaluate.FOUND]) | {"on-moved": "tell"}),
            task(
                "release",
                inputs_of([*RELEASE, *evaluate.FOUND]) | outputs_of("upload", ["version"]),
                template="release",
                depends="upload",
                when=f"{current} == true",
            ),
            task(
                "again",
                inputs_of([*PUBLISH, "tree", "evaluation"]),
                template="again",
                depends="upload",
                when=f"{current} != true",
            ),
        ],
    )


def _again() -> DAG:
    """Return what happens where another version became stable while this one was judged: it is judged once more."""
    verdict = "{{tasks.judge-again.outputs.parameters.verdict}}"
    found, passed = outputs_of("judge-again", evaluate.FOUND), f"{verdict} == pass"
    return DAG(
        name="again",
        inputs=[Parameter(name=name) for name in [*PUBLISH, "tree", "evaluation"]],
        tasks=[
            task("judge-again", inputs_of(evaluate.AGAIN), template="judge-again", document="colchis-evaluate"),
            *_published(found, passed, "judge-again"),
            task(
                "anew",
                inputs_of([*PUBLISH, "tree"]),
                template="anew",
                depends="judge-again",
                when=f"{verdict} == unknown",
            ),
        ],
    )


def _anew() -> DAG:
    """Return what happens where nothing is kept of the stable version on these data: both models are asked."""
    found, passed = outputs_of("evaluate", evaluate.FOUND), "{{tasks.evaluate.outputs.parameters.verdict}} == pass"
    return DAG(
        name="anew",
        inputs=[Parameter(name=name) for name in [*PUBLISH, "tree"]],
        tasks=[
            task("evaluate", inputs_of(evaluate.INPUTS)),
            *_published(found, passed, "evaluate"),
        ],
    )


def _published(found: dict[str, str], passed: str, judge: str) -> list[Task]:
    """Return the tasks that publish what a task has found to pass."""
    return [
        task("upload", inputs_of(UPLOAD) | found, depends=judge, when=passed),
        task(
            "release",
            inputs_of(RELEASE) | found | outputs_of("upload", ["version"]),
            template="release",
            depends="upload.Succeeded",
            when=passed,
        ),
    ]


def _release() -> DAG:
    """Return how a version is packed, put on record and served."""
    version = {"version": "{{inputs.parameters.version}}"}
    image = {"image": "{{tasks.build-image.outputs.parameters.image}}"}
    record = outputs_of("register", ["record"])
    return DAG(
        name="release",
        inputs=[Parameter(name=name) for name in [*RELEASE, *evaluate.FOUND, "version"]],
        tasks=[
            *build_image.tasks(
                inputs_of(["store", "run", "model", "builder", "repository", "version"]), "colchis-build-image"
            ),
            task(
                "register",
                inputs_of(["store", "run", "model", "train-image", *evaluate.FOUND]) | version | image | LIFE,
                depends="build-image",
            ),
            task(
                "rollout",
                inputs_of(SERVED) | version | image | record | {"action": "canary"},
                depends="register",
            ),
            task(
                "approval",
                inputs_of(SERVED) | version | image | record,
                template="approval",
                depends="rollout",
                when="{{tasks.rollout.outputs.parameters.waiting}} == true",
            ),
        ],
    )


def _approval() -> DAG:
    """Return what happens to a canary that waits: its report so far, a question, and the way on or back."""
    names = [*SERVED, "version", "image", "record"]
    link = {"report": "{{inputs.parameters.store}}/runs/{{inputs.parameters.run}}/report.html"}
    answer = "{{tasks.approve.outputs.parameters.approve}}"
    served = inputs_of(names)
    return DAG(
        name="approval",
        inputs=[Parameter(name=name) for name in names],
        tasks=[
            task("report", inputs_of(["store", "run"]) | {"status": "Succeeded", "failures": "[]"}),
            task("approve", inputs_of(["model", "version"]) | link, template="approve", depends="report"),
            task(
                "promote",
                served | {"action": "promote"},
                template="rollout",
                document="colchis-rollout",
                depends="approve",
                when=f"{answer} == YES",
            ),
            task(
                "withdraw",
                served | {"action": "rollback"},
                template="rollout",
                document="colchis-rollout",
                depends="approve",
                when=f"{answer} != YES",
            ),
        ],
    )


def _report() -> models.LifecycleHook:
    given = from_workflow(["store", "run"]) | {"status": "{{workflow.status}}", "failures": "{{workflow.failures}}"}
    return models.LifecycleHook(
        template_ref=models.TemplateRef(name="colchis-report", template="report"),
        arguments=models.Arguments(parameters=[models.Parameter(name=k, value=v) for k, v in given.items()]),
    )
