"""``colchis-prune-nightly``: ``colchis-prune`` by the clock; suspended until someone resumes it."""

from hera.workflows import CronWorkflow, models

from colchis_workflows.settings import Settings


def template(settings: Settings) -> CronWorkflow:
    """Build the CronWorkflow; a night that is missed is made good by the next."""
    return CronWorkflow(
        name="colchis-prune-nightly",
        annotations={
            "workflows.argoproj.io/title": "Colchis: prune every night",
            "workflows.argoproj.io/description": "Submits `colchis-prune` with the defaults of its template. "
            "Resume it to start: `argo cron resume colchis-prune-nightly`.",
        },
        labels=settings.object_labels("colchis-prune-nightly"),
        schedules=["30 4 * * *"],
        timezone="UTC",
        cron_suspend=True,
        concurrency_policy="Forbid",
        starting_deadline_seconds=600,
        successful_jobs_history_limit=1,
        failed_jobs_history_limit=3,
        workflow_template_ref=models.WorkflowTemplateRef(name="colchis-prune"),
    )
