"""Write a WorkflowTemplate that makes the training's data: python template.py DIRECTORY-OF-TEMPLATES > own-data.yaml.

Then `prepare=template:own-data` names it. It leaves rows and columns as they are and says which part is which by their
place; a template of yours reads, joins and computes what it likes in between.
"""

import sys
from pathlib import Path
from typing import Any

from hera.workflows import WorkflowTemplate, models

base = Path(sys.argv[1])
document: Any = WorkflowTemplate.from_file(base / "colchis-prepare.yaml")

# a step of ours with another command: its account may read and write data, its pod is locked down and limited
own = next(template for template in document.templates if template.name == "check")
own.name = "prepare"
own.inputs = models.Inputs(parameters=[models.Parameter(name=name) for name in ("store", "data")])
given = {flag.partition("=")[0]: flag.partition("=")[2] for flag in own.container.args}
store, data = given["--store"], given["--data"]  # the form by which nothing in what a submitter gives is expanded
own.container.command = ["python", "-m", "colchis_steps.import_data"]
own.container.args = [
    "digits-own",  # not the name of what it is made of
    f"--to={store}",
    *(f"--from={split}={data}/{split}-*" for split in ("train", "eval", "test")),
    "--label=label",
    f"--parent={data}",
    "--data-path={{outputs.parameters.data.path}}",
    "--digest-path={{outputs.parameters.digest.path}}",
]
document.templates = [own]
document.name, document.entrypoint = "own-data", "prepare"
document.annotations = document.labels = document.arguments = None
sys.stdout.write(document.to_yaml())
