"""``colchis-train``: train a model with N workers (runs ``colchis_steps.train``).

On a back-end other than ``local`` a first pod makes the job and follows it; it has a token and runs nothing of the
user's. The last task trains where that is still to do, in its own pod and without a token, and gives the outputs.
"""

from typing import Any

from hera.workflows import DAG, Container, WorkflowTemplate, models

from colchis_workflows._templates.parameters import parameter
from colchis_workflows._templates.step import (
    flags,
    inputs_of,
    output,
    output_of,
    resources,
    step,
    task,
    workflow_template,
)
from colchis_workflows.settings import Settings

INPUTS = [
    *("store", "run", "model", "data"),
    *("entry", "code", "hyperparameters"),
    *("backend", "workers", "job-options", "train-image"),
]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template. In: ``data``, ``entry``, ``hyperparameters``. Out: the digest of the candidate's ``tree``."""
    job, here = _step(settings, "job"), _step(settings, "workers")
    job.resources = resources("50m", "256Mi", "1Gi")
    job.automount_service_account_token = True
    pod = models.EnvVar(
        name="COLCHIS_POD",
        value_from=models.EnvVarSource(field_ref=models.ObjectFieldSelector(field_path="metadata.name")),
    )
    job.env = [*(job.env if isinstance(job.env, list) else []), pod]
    tasks: list[Any] = [
        # in quotes, since Argo takes the dash of indexed-job for a minus
        task("job", inputs_of(INPUTS), template="job", when="'{{inputs.parameters.backend}}' != 'local'"),
        task("workers", inputs_of(INPUTS), template="workers", depends="job.Succeeded || job.Skipped"),
    ]
    train = DAG(
        name="train",
        inputs=[parameter(settings, name) for name in INPUTS],
        outputs=[output_of("workers", "tree")],
        tasks=tasks,
    )
    return workflow_template(
        settings,
        "Colchis: train",
        "Trains on a data set with several workers; the chief stores its export as the run's candidate.",
        INPUTS,
        [train, job, here],
    )


def _step(settings: Settings, name: str) -> Container:
    container = step(
        settings,
        "train",
        INPUTS,
        [output("tree")],
        args=flags(INPUTS, ["tree"]),
        account="colchis-train",
        image="{{inputs.parameters.train-image}}",
        size=resources("500m", "1Gi", "4Gi"),
        hours=24,
    )
    container.name = name
    return container
