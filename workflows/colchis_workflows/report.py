"""``colchis-report``: one page about a run (runs ``colchis_steps.report``)."""

from hera.workflows import NoneArchiveStrategy, S3Artifact, WorkflowTemplate

from colchis_workflows._templates.step import OUTPUTS, flags, output, step, workflow_template
from colchis_workflows.settings import Settings

INPUTS = ["store", "run", "status", "failures"]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: how the run ended. Out: ``summary`` and the page, which the Argo UI shows as it is."""
    page = S3Artifact(
        name="report",
        path=f"{OUTPUTS}/report.html",
        archive=NoneArchiveStrategy(),
        key="colchis/{{inputs.parameters.run}}/report.html",
    )
    container = step(
        settings,
        "report",
        INPUTS,
        [output("summary", global_name="summary")],
        args=[*flags(INPUTS, ["summary"]), "--report-path={{outputs.artifacts.report.path}}"],
        artifacts=[page],
    )
    return workflow_template(
        settings,
        "Colchis: report",
        "Draws one script-free page: data, curves, confusion matrix, sample predictions, verdict, digests, times.",
        INPUTS,
        [container],
    )
