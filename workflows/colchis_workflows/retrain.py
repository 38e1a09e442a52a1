"""``colchis-retrain``: the pipeline by the clock; suspended until someone resumes it."""

from hera.workflows import CronWorkflow, models

from colchis_workflows.settings import Settings


def template(settings: Settings) -> CronWorkflow:
    """Build the CronWorkflow: no run beside another, none lost by a restart, an end after three failures."""
    return CronWorkflow(
        name="colchis-retrain",
        annotations={
            "workflows.argoproj.io/title": "Colchis: retrain every night",
            "workflows.argoproj.io/description": "Submits `colchis-pipeline` with the defaults of its template. "
            "Resume it to start: `argo cron resume colchis-retrain`.",
        },
        labels=settings.object_labels("colchis-retrain"),
        schedules=["0 2 * * *"],
        timezone="Etc/UTC",
        cron_suspend=True,
        concurrency_policy="Forbid",
        starting_deadline_seconds=600,
        stop_strategy=models.StopStrategy(expression="cronworkflow.failed >= 3"),
        successful_jobs_history_limit=3,
        failed_jobs_history_limit=5,
        workflow_template_ref=models.WorkflowTemplateRef(name="colchis-pipeline"),
    )
