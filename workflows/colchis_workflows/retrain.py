"""``colchis-retrain``: the pipeline by the clock, where there are new data; who applies it starts it.

It sets no ``suspend``: `kubectl apply` would put back whatever it sets, and undo `argo cron suspend` and `resume`.
"""

from hera.workflows import CronWorkflow, Parameter, models

from colchis_workflows._templates.parameters import STORE
from colchis_workflows.settings import Settings


def template(settings: Settings) -> CronWorkflow:
    """Build the CronWorkflow: no run beside another, none lost by a restart, an end after three failures."""
    return CronWorkflow(
        name="colchis-retrain",
        annotations={
            "workflows.argoproj.io/title": "Colchis: retrain every night",
            "workflows.argoproj.io/description": "Submits `colchis-pipeline` with the newest data. "
            "A night without new data ends after its first step. "
            "`argo cron suspend colchis-retrain` halts it, until `argo cron resume`.",
        },
        labels=settings.object_labels("colchis-retrain"),
        arguments=[
            Parameter(name="data", value=f"{STORE}/data/digits"),
            Parameter(name="only-new-data", value="true"),
        ],
        schedules=["0 2 * * *"],
        timezone="UTC",
        concurrency_policy="Forbid",
        starting_deadline_seconds=600,
        stop_strategy=models.StopStrategy(expression="cronworkflow.failed >= 3"),
        successful_jobs_history_limit=3,
        failed_jobs_history_limit=5,
        workflow_template_ref=models.WorkflowTemplateRef(name="colchis-pipeline"),
    )
