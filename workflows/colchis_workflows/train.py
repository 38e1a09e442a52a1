"""``colchis-train``: train a model with N workers (runs ``colchis_steps.train``)."""

from hera.workflows import WorkflowTemplate

from colchis_workflows._common import output, resources, step, workflow_template
from colchis_workflows.settings import Settings

INPUTS = [
    *("store", "run", "model", "data"),
    *("entry", "code", "hyperparameters"),
    *("backend", "workers", "train-image"),
]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: ``data``, ``entry``, ``hyperparameters``. Out: the digest of the candidate's ``tree``."""
    container = step(
        settings,
        "train",
        INPUTS,
        [output("tree")],
        account="colchis-train",
        image="{{inputs.parameters.train-image}}",
        size=resources("500m", "1Gi", "4Gi"),
        hours=24,
    )
    return workflow_template(
        settings,
        "Colchis: train",
        "Trains on a data set with several workers; the chief stores its export as the run's candidate.",
        INPUTS,
        [container],
    )
