"""``colchis-validate-data``: hold a data set to its schema and rules (runs ``colchis_steps.validate_data``)."""

from hera.workflows import WorkflowTemplate

from colchis_workflows._common import output, resources, step, workflow_template
from colchis_workflows.settings import Settings

INPUTS = ["store", "run", "data", "rules"]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: ``data``, ``rules``. Out: the data set's ``digest``; bad data ends it with 65."""
    size = resources("100m", "256Mi", "2Gi")
    return workflow_template(
        settings,
        "Colchis: validate data",
        "Checks schema, rows, duplicates, leakage and class balance of a data set.",
        INPUTS,
        [step(settings, "validate_data", INPUTS, [output("digest")], size=size)],
    )
