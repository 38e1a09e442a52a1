"""``colchis-register``: write where a version came from (runs ``colchis_steps.register``)."""

from hera.workflows import WorkflowTemplate

from colchis_workflows._templates.step import flags, step, workflow_template
from colchis_workflows.settings import Settings

FLAGS = ["store", "run", "model", "version", "image", "workflow", "created-by"]
INPUTS = [*FLAGS, "steps-image", "train-image"]
STEP_IMAGES = '--step-images={"steps":"{{inputs.parameters.steps-image}}","train":"{{inputs.parameters.train-image}}"}'


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: the version and its ``image`` by digest. Out: nothing but the record and its mirror."""
    return workflow_template(
        settings,
        "Colchis: register",
        "Writes the version's record and its in-toto statement with SLSA provenance.",
        INPUTS,
        [
            step(
                settings,
                "register",
                INPUTS,
                args=[*flags(FLAGS), STEP_IMAGES],
                account="colchis-register",
                token=True,
            )
        ],
    )
