"""``colchis-prune``: remove versions that were held for a rollback long enough (runs ``colchis_steps.prune``)."""

from hera.workflows import WorkflowTemplate

from colchis_workflows._templates.step import step, workflow_template
from colchis_workflows.settings import Settings

INPUTS = ["store", "hold", "dry-run"]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template; what went is in the pod's log."""
    return workflow_template(
        settings,
        "Colchis: prune",
        "Removes the Deployments and Services of versions that were replaced longer ago than `hold`; never one that is "
        "stable, canary or routed to.",
        INPUTS,
        [step(settings, "prune", INPUTS, account="colchis-rollout", token=True)],
    )
