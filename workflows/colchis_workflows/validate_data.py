"""``colchis-validate-data``: hold a data set to its schema and rules (runs ``colchis_steps.validate_data``)."""

from hera.workflows import WorkflowTemplate

from colchis_workflows._templates.step import output, resources, step, workflow_template
from colchis_workflows.settings import Settings

INPUTS = ["store", "run", "data", "rules", "schema", "reference", "model", "only-new-data", "prepare"]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: ``data`` and what they are held against. Out: ``digest``, ``data``, ``new-data``."""
    size = resources("100m", "256Mi", "2Gi")
    outputs = [output("digest"), output("data"), output("new-data", "true")]
    outputs += [output("prepares", "false"), output("ready"), output("ready-digest")]
    return workflow_template(
        settings,
        "Colchis: validate data",
        "Checks schema, rows, duplicates, leakage, class balance and drift of a data set.",
        INPUTS,
        [step(settings, "validate_data", INPUTS, outputs, image=settings.image("data"), size=size)],
    )
