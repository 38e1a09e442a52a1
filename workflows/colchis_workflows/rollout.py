"""``colchis-rollout``: serve a version (runs ``colchis_steps.rollout``)."""

from hera.workflows import WorkflowTemplate

from colchis_workflows._templates.step import (
    KEYS_FILE,
    TOKEN,
    TOKEN_AT,
    TRUST,
    TRUST_AT,
    environment,
    flags,
    output,
    step,
    workflow_template,
)
from colchis_workflows.settings import Settings

INPUTS = [
    "store",
    "run",
    "model",
    "version",
    "image",
    "record",
    "target",
    "runtime",
    "action",
    "steps",
    "split",
    "headers",
    "sticky",
    "mirror",
    "testers",
    "approval",
    "tolerances",
    "step-seconds",
    "fail-on-reject",
    "serve-image",
    "serve-options",
    "model-volume",
    "preheat",
    "insecure-registry",
]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template.

    In: the version and its ``image`` by digest. Out: ``endpoint``, ``verdict`` (pass or fail), and ``waiting``: true
    where a canary serves its share until somebody promotes it or goes back.
    """
    outputs = [
        output("endpoint", global_name="endpoint"),
        output("verdict", "fail", global_name="verdict"),
        output("waiting", "false"),
    ]
    return workflow_template(
        settings,
        "Colchis: roll out",
        "Serves a version beside the stable one, shifts traffic to it by steps, judges it, and goes back by itself.",
        INPUTS,
        [
            step(
                settings,
                "rollout",
                INPUTS,
                outputs,
                args=flags(INPUTS, ["endpoint", "verdict", "waiting"]),
                env=environment(
                    COLCHIS_SERVER_IMAGE=settings.image("serve"),
                    COLCHIS_SERVER_IMAGE_ONNX=settings.image("serve-onnx"),
                    **KEYS_FILE,
                ),
                mounted={TOKEN_AT: TOKEN, TRUST_AT: TRUST},
                account="colchis-rollout",
                token=True,
                hours=6,
            )
        ],
    )
