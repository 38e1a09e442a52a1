"""The question that a run asks before a canary gets all traffic."""

from hera.workflows import Parameter, Suspend, models


def approve() -> Suspend:
    """Return the question: the UI shows a form with the report's place; who does not answer within a day says no."""
    descriptions = {
        "approve": "Whether the canary is promoted to stable.",
        "report": "What is known so far: open it first.",
    }
    return Suspend(
        name="approve",
        duration="24h",
        inputs=[
            Parameter(name="approve", default="NO", enum=["NO", "YES"], description=descriptions["approve"]),
            Parameter(name="model"),
            Parameter(name="version"),
            Parameter(name="report", description=descriptions["report"]),
        ],
        outputs=[
            Parameter(name="approve", value_from=models.ValueFrom(supplied=models.SuppliedValueFrom(), default="NO"))
        ],
    )
