"""``colchis-register``: write where a version came from (runs ``colchis_steps.register``)."""

from hera.workflows import WorkflowTemplate

from colchis_workflows._templates.step import (
    KEYS_FILE,
    LOGIN,
    REGISTRY_LOGIN,
    SIGNING,
    SIGNING_AT,
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
    *("store", "run", "model", "version", "image", "workflow", "created-by"),
    *("tree", "evaluation", "golden", "baseline", "insecure-registry", "steps-image", "train-image"),
]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: the version and its ``image`` by digest. Out: the digest of its ``record``."""
    return workflow_template(
        settings,
        "Colchis: register",
        "Writes the version's record and its in-toto statement with SLSA provenance, and signs it.",
        INPUTS,
        [
            step(
                settings,
                "register",
                INPUTS,
                [output("record")],
                args=flags(INPUTS, ["record"]),
                env=environment(DOCKER_CONFIG=REGISTRY_LOGIN, **KEYS_FILE),
                mounted={REGISTRY_LOGIN: LOGIN, SIGNING_AT: SIGNING, TRUST_AT: TRUST},
                account="colchis-publish",
                token=True,
            )
        ],
    )
