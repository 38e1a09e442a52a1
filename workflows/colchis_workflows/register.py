"""``colchis-register``: write where a version came from (runs ``colchis_steps.register``)."""

from hera.workflows import WorkflowTemplate

from colchis_workflows._templates.step import flags, output, step, workflow_template
from colchis_workflows.settings import Settings

INPUTS = [
    *("store", "run", "model", "version", "image", "workflow", "created-by"),
    *("tree", "evaluation", "golden", "baseline", "steps-image", "train-image"),
]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: the version and its ``image`` by digest. Out: the digest of its ``record``."""
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
                [output("record")],
                args=flags(INPUTS, ["record"]),
                account="colchis-publish",
                token=True,
            )
        ],
    )
