"""``colchis-batch``: predict a whole data set with a published version (runs ``colchis_steps.batch``).

The first task plans. With ``spread=pods`` the second makes an Indexed Job and follows it; it has a token, and runs
nothing but our image. The last one predicts what is left, which is all of it with ``spread=processes``, and verifies.
"""

from hera.workflows import DAG, Container, WorkflowTemplate, models

from colchis_workflows._argo.literal import literal
from colchis_workflows._templates.parameters import parameter
from colchis_workflows._templates.step import (
    KEYS_FILE,
    MODEL,
    TRUST,
    TRUST_AT,
    environment,
    inputs_of,
    output,
    output_of,
    resources,
    step,
    task,
    workflow_template,
)
from colchis_workflows.settings import Settings

ARGUMENTS = ["store", "model", "alias", "from", "splits", "key", "to", "spread", "workers", "job-options"]
INPUTS = ["run", *(name for name in ARGUMENTS if name != "spread")]
RENAMED = {
    "alias": "version",
    "splits": "split",
}  # flags have shorter names than parameters, of which there is one list
ACCOUNT = "colchis-batch"


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: ``model``, ``from``. Out: ``predictions``, their place, and how many ``rows``."""
    whole = inputs_of(INPUTS) | {"run": "{{workflow.uid}}"}
    there = whole | {"to": "{{tasks.plan.outputs.parameters.predictions}}"}
    pods = "'{{inputs.parameters.spread}}' == 'pods'"
    batch = DAG(
        name="batch",
        inputs=[parameter(settings, name) for name in ARGUMENTS],
        outputs=[output_of("predict", "predictions"), output_of("predict", "rows", "0")],
        tasks=[
            task("plan", whole, template="plan"),
            task("job", there, template="job", depends="plan", when=pods),
            task("predict", there, template="predict", depends="plan && (job.Succeeded || job.Skipped)"),
        ],
    )
    plan = _step(settings, "plan", "plan")
    job = _step(settings, "job", "job", account="colchis-train", token=True)
    predict = _step(settings, "predict", "finish")
    plan.image, predict.image = settings.image("data"), settings.image("serve")
    predict.resources, predict.active_deadline_seconds = resources("500m", "1Gi", "4Gi"), str(24 * 3600)
    pod = models.EnvVar(
        name="COLCHIS_POD",
        value_from=models.EnvVarSource(field_ref=models.ObjectFieldSelector(field_path="metadata.name")),
    )
    job.env = [*environment(COLCHIS_BATCH_IMAGE=settings.image("serve"), **KEYS_FILE), pod]
    return workflow_template(
        settings,
        "Colchis: batch",
        "Predicts every row of a data set, or of files of Parquet, with a published version; whatever ends it, the "
        "same again goes on.",
        ARGUMENTS,
        [batch, plan, job, predict],
    )


def _step(settings: Settings, name: str, part: str, *, account: str = ACCOUNT, token: bool = False) -> Container:
    outputs = [output("predictions"), output("rows", "0")]
    sent = [f"--{RENAMED.get(name, name)}={literal(name)}" for name in INPUTS]
    written = [f"--{found.name}-path={{{{outputs.parameters.{found.name}.path}}}}" for found in outputs]
    container = step(
        settings,
        "batch",
        INPUTS,
        outputs,
        args=[*sent, f"--part={part}", *written],
        mounted={TRUST_AT: TRUST},
        account=account,
        token=token,
        size=resources("100m", "256Mi", "1Gi"),
        hours=24,
        disk=MODEL,
    )
    container.name = name
    return container
