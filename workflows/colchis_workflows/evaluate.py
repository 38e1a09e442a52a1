"""``colchis-evaluate``: the gate (runs ``colchis_steps.evaluate``)."""

from hera.workflows import WorkflowTemplate

from colchis_workflows._templates.step import output, resources, step, workflow_template
from colchis_workflows.settings import Settings

INPUTS = ["store", "run", "model", "data", "thresholds", "first-model", "fail-on-reject", "train-image"]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: ``thresholds``. Out: ``verdict``, pass or fail; a no is a result, not an error."""
    container = step(
        settings,
        "evaluate",
        INPUTS,
        [output("verdict", "fail", global_name="verdict")],
        account="colchis-train",  # it loads what the user's code made
        image="{{inputs.parameters.train-image}}",
        size=resources("250m", "1Gi", "4Gi"),
    )
    return workflow_template(
        settings,
        "Colchis: evaluate",
        "Evaluates the exported model on held-out data and judges it by thresholds and against the served version.",
        INPUTS,
        [container],
    )
