"""``colchis-rollout``: serve a version (runs ``colchis_steps.rollout``)."""

from hera.workflows import WorkflowTemplate

from colchis_workflows._common import alone, flags, output, step, workflow_template
from colchis_workflows.settings import Settings

INPUTS = [
    "store",
    "run",
    "model",
    "version",
    "image",
    "target",
    "runtime",
    "action",
    "steps",
    "serve-image",
    "model-volume",
    "insecure-registry",
]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: the version and its ``image`` by digest. Out: ``endpoint`` and ``verdict``."""
    outputs = [output("endpoint", global_name="endpoint"), output("verdict", "fail")]
    return workflow_template(
        settings,
        "Colchis: roll out",
        "Serves a version beside the stable one, shifts traffic to it by steps, and goes back by itself.",
        INPUTS,
        alone(
            step(
                settings,
                "rollout",
                INPUTS,
                outputs,
                args=flags(INPUTS, ["endpoint", "verdict"]),
                account="colchis-rollout",
                token=True,
                hours=6,
            )
        ),
    )
