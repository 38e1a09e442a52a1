"""What onnxruntime says of a model that it does not load, as one sentence with what to do."""

import re

from colchis_steps._step.text import clip

OPSET = re.compile(r"Opset (\d+) is under development.*domain (\S+) is till opset (\d+)", re.DOTALL)
IR = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
WEIGHTS = ("xternal data", "External initializer", "Random-access reads require a regular file")
OPERATOR = re.compile(r"([\w.]*:?\w+)\(-?\d+\) is not a registered|No Op registered for (\w+)")


def refusal(error: Exception, source: str, release: str) -> str:
    """Return why ``source`` cannot be loaded; ``release`` is onnxruntime's version."""
    said = str(error)
    if found := OPSET.search(said):
        return (
            f"{source} is of opset {found[1]} of {found[2]}, and onnxruntime {release} knows those to {found[3]}; "
            f"export it with opset_version={found[3]} or lower, or serve it with a newer onnxruntime"
        )
    if found := IR.search(said):
        return (
            f"{source} is of IR version {found[1]}, and onnxruntime {release} knows those to {found[2]}; set the "
            f"model's ir_version to {found[2]} or lower, or serve it with a newer onnxruntime"
        )
    if found := OPERATOR.search(said):
        return (
            f"{source} needs the operator {(found[1] or found[2])[:128]}, which onnxruntime {release} does not have; "
            "export it with ONNX's own operators alone"
        )
    if any(word in said for word in WEIGHTS):
        return (
            f"{source} names weights that are not whole in a file of its own directory ({clip(error)}); write them "
            "beside model.onnx, and name them by a relative path"
        )
    return f"{source} is not a model that onnxruntime {release} can load ({clip(error)}); export it again"
