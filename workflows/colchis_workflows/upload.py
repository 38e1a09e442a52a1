"""``colchis-upload``: turn a run's candidate into a version (runs ``colchis_steps.upload``)."""

from hera.workflows import WorkflowTemplate

from colchis_workflows._templates.step import output, step, workflow_template
from colchis_workflows.settings import Settings

INPUTS = ["store", "run", "model", "plain-prefix", "tree", "evaluation", "golden", "baseline", "on-moved"]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template.

    In: ``model``, and what evaluate found. Out: ``version``; the same run or files again give the same one. Where the
    model has to be judged again, ``current`` is false and there is none.
    """
    return workflow_template(
        settings,
        "Colchis: upload",
        "Verifies the candidate's files in the store and writes the manifest that makes them a version.",
        INPUTS,
        [
            step(
                settings,
                "upload",
                INPUTS,
                [output("version", global_name="version"), output("current", "true")],
                account="colchis-publish",
            )
        ],
    )
