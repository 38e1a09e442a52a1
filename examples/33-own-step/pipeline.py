"""Write the pipeline with a step of one's own in it: the seed comes from the data, so that equal data train alike.

python pipeline.py workflows/manifests/base > own-pipeline.yaml
"""

import sys
from pathlib import Path
from typing import Any

from hera.workflows import WorkflowTemplate, models

base = Path(sys.argv[1])  # the rendered templates
pipeline: Any = WorkflowTemplate.from_file(base / "colchis-pipeline.yaml")
validations: Any = WorkflowTemplate.from_file(base / "colchis-validate-data.yaml")
validate = validations.templates[0]

# the step: a container of any image; its account, limits, volumes and retries are those of a step of ours
seed = validate.model_copy(deep=True)
seed.name = "seed"
seed.inputs = models.Inputs(parameters=[models.Parameter(name=name) for name in ("digest", "hyperparameters")])
path = models.ValueFrom(path="/tmp/outputs/hyperparameters", default="{}")  # noqa: S108 - the pod's own
seed.outputs = models.Outputs(parameters=[models.Parameter(name="hyperparameters", value_from=path)])
seed.container.command = ["python", "-c", Path(__file__).with_name("seed.py").read_text()]
as_it_is = validate.container.args[0].partition("=")[2]  # by this form nothing in what a submitter gives is expanded
seed.container.args = [
    as_it_is.replace("store", "digest"),
    as_it_is.replace("store", "hyperparameters"),
    "{{outputs.parameters.hyperparameters.path}}",
]
pipeline.templates.append(seed)

# its place: after validate-data, before candidate, which gets what it writes
tasks = pipeline.templates[0].dag.tasks
candidate = next(task for task in tasks if task.name == "candidate")
given = {argument.name: argument for argument in candidate.arguments.parameters}
place = models.DAGTask(name="seed", template="seed", depends="validate-data", when=candidate.when)
place.arguments = models.Arguments(
    parameters=[
        models.Parameter(name="digest", value="{{tasks.validate-data.outputs.parameters.digest}}"),
        models.Parameter(name="hyperparameters", value=given["hyperparameters"].value),
    ]
)
tasks.insert(tasks.index(candidate), place)
given["hyperparameters"].value = "{{tasks.seed.outputs.parameters.hyperparameters}}"
candidate.depends = f"{candidate.depends} && seed.Succeeded"

pipeline.name = "colchis-seeded"  # `colchis run` has local defaults for names that begin so
sys.stdout.write(pipeline.to_yaml())
