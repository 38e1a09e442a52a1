"""``colchis-prune-nightly``: ``colchis-prune`` by the clock; who applies it starts it.

It sets no ``suspend``: `kubectl apply` would put back whatever it sets, and undo `argo cron suspend` and `resume`.
"""

from hera.workflows import CronWorkflow, models

from colchis_workflows.settings import Settings


def template(settings: Settings) -> CronWorkflow:
    """Build the CronWorkflow; a night that is missed is made good by the next."""
    return CronWorkflow(
        name="colchis-prune-nightly",
        annotations={
            "workflows.argoproj.io/title": "Colchis: prune every night",
            "workflows.argoproj.io/description": "Submits `colchis-prune` with the defaults of its template. "
            "`argo cron suspend colchis-prune-nightly` halts it, until `argo cron resume`.",
        },
        labels=settings.object_labels("colchis-prune-nightly"),
        schedules=["30 4 * * *"],
        timezone="UTC",
        concurrency_policy="Forbid",
        starting_deadline_seconds=600,
        successful_jobs_history_limit=1,
        failed_jobs_history_limit=3,
        workflow_template_ref=models.WorkflowTemplateRef(name="colchis-prune"),
    )
