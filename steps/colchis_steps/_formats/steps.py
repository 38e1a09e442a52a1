"""The steps of a pipeline: the one list that report, record, lineage and doctor read.

A new step is its module, its template, its test, its page, and its name here.
"""

CHAIN = ("validate_data", "train", "evaluate", "upload", "build_image", "register", "rollout")  # in their order
BESIDE = ("prepare", "adopt", "report", "prune", "batch")  # steps with a template that stand outside the chain


def before(step: str) -> tuple[str, ...]:
    """Return the steps of the chain that come before ``step``."""
    return CHAIN[: CHAIN.index(step)]


def template_name(step: str) -> str:
    """Return the name of the WorkflowTemplate that runs a step."""
    return f"colchis-{step.replace('_', '-')}"
