"""``colchis-train``: train a model with N workers (runs ``colchis_steps.train``).

On a back-end other than ``local`` a first pod makes the job and follows it; it has a token and runs our image, nothing
of the user's. The last task trains where that is still to do, in its own pod without a token, and gives the outputs.
"""

from collections.abc import Mapping
from typing import Any

from hera.workflows import DAG, Container, WorkflowTemplate, models

from colchis_workflows._templates.parameters import parameter
from colchis_workflows._templates.step import (
    MODEL,
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
    job = _step(settings, "job", "colchis-train", settings.image("steps"))
    here = _step(settings, "workers", "colchis-worker", "{{inputs.parameters.train-image}}")
    job.resources = resources("50m", "256Mi", "1Gi")
    job.image = settings.image("steps")  # it has a token, so it is never the submitter's
    job.automount_service_account_token = True
    pod = models.EnvVar(
        name="COLCHIS_POD",
        value_from=models.EnvVarSource(field_ref=models.ObjectFieldSelector(field_path="metadata.name")),
    )
    job.env = [*(job.env if isinstance(job.env, list) else []), pod]
    train = DAG(
        name="train",
        inputs=[parameter(settings, name) for name in INPUTS],
        outputs=[output_of("train", "tree")],
        tasks=tasks(inputs_of(INPUTS)),
    )
    return workflow_template(
        settings,
        "Colchis: train",
        "Trains on a data set with several workers; the chief stores its export as the run's candidate.",
        INPUTS,
        [train, job, here],
    )


def tasks(given: Mapping[str, str], document: str | None = None) -> list[Any]:
    """Return the tasks of a training, with these arguments; the last one is ``train``, whatever the back-end."""
    # in quotes, since Argo takes the dash of indexed-job for a minus
    other = f"'{given['backend']}' != 'local'"
    return [
        task("job", given, template="job", document=document, when=other),
        task("train", given, template="workers", document=document, depends="job.Succeeded || job.Skipped"),
    ]


def _step(settings: Settings, name: str, account: str, image: str) -> Container:
    container = step(
        settings,
        "train",
        INPUTS,
        [output("tree")],
        args=flags(INPUTS, ["tree"]),
        account=account,
        image=image,
        size=resources("500m", "1Gi", "4Gi"),
        hours=24,
        disk=MODEL,
    )
    container.name = name
    return container
