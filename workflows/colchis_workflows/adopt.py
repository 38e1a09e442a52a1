"""``colchis-adopt``: a model that exists → candidate → evaluate → publish, and a report however it ends.

From the candidate on it is the pipeline: the same gate, and the pipeline's own ``publish``. Whoever has no data to
judge the model by says so; it is published by the verdict ``unjudged`` then, and by no other.
"""

from hera.workflows import DAG, Container, WorkflowTemplate

from colchis_workflows import evaluate, pipeline
from colchis_workflows._templates.step import MODEL, flags, output, resources, step, task, workflow_template
from colchis_workflows.settings import Settings

INPUTS = [
    *("store", "run", "model", "source", "data", "unjudged"),
    *("task", "classes", "output", "activation", "signature", "serve-options"),
]
FOUND = ["tree", "data-digest", "wanted"]
ARGUMENTS = [
    *INPUTS[2:],
    "store",
    *("thresholds", "metrics", "code", "first-model", "plain-prefix"),
    *("builder", "repository", "target", "runtime", "steps", "serve-image", "model-volume", "preheat"),
    *("approval", "tolerances", "fail-on-reject", "train-image"),
]


def template(settings: Settings) -> WorkflowTemplate:
    """Build the template: ``source`` is the model, ``data`` what it is judged on; the rest is the pipeline's."""
    return workflow_template(
        settings,
        "Colchis: a model that exists, served",
        "Takes a SavedModel, a Keras file or ONNX as it is, judges it, and, where the gate says pass, uploads, packs, "
        "registers and rolls it out. `report` shows what happened, whatever happened.",
        ARGUMENTS,
        [_adopt(), _candidate(settings)],
        **pipeline.life(),
    )


def _adopt() -> DAG:
    digest = pipeline.outputs_of("candidate", ["data-digest"])
    judged, wanted = "{{tasks.evaluate.outputs.parameters.verdict}}", "{{tasks.candidate.outputs.parameters.wanted}}"
    return DAG(
        name="adopt",
        tasks=[
            task("candidate", pipeline.from_workflow(INPUTS), template="candidate"),
            task(
                "evaluate",
                pipeline.from_workflow([n for n in evaluate.INPUTS if n not in {"tree", "data-digest"}])
                | pipeline.outputs_of("candidate", ["tree"])
                | digest,
                depends="candidate",
            ),
            task(
                "publish",
                pipeline.from_workflow([name for name in pipeline.PUBLISH if name != "data-digest"])
                | pipeline.outputs_of("evaluate", evaluate.FOUND)
                | digest,
                document="colchis-pipeline",
                template="publish",
                depends="evaluate",
                when=f"{judged} == {wanted}",
            ),
        ],
    )


def _candidate(settings: Settings) -> Container:
    """Return what stores the candidate: it loads somebody's model, so its key writes no more than that."""
    container = step(
        settings,
        "adopt",
        INPUTS,
        [output(name) for name in FOUND],
        args=flags(INPUTS, FOUND),
        account="colchis-adopt",
        image=settings.image("train"),
        size=resources("250m", "1Gi", "4Gi"),
        disk=MODEL,
    )
    container.name = "candidate"
    return container
