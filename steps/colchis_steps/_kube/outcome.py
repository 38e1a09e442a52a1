"""How a job of the cluster ended, whatever its kind."""

from datetime import datetime
from typing import NamedTuple

from colchis_steps._manifests.objects import Object

# types of conditions; a JobSet is Completed
GOOD, BAD = ("Complete", "Completed", "SuccessCriteriaMet", "Succeeded"), ("Failed", "FailureTarget")


class Outcome(NamedTuple):
    """How a job ended."""

    good: bool
    late: bool  # it took as long as it may
    why: str  # its own words


def outcome_of(found: Object) -> Outcome | None:
    """Return how the job ended, by the types of its conditions, or None while it goes on."""
    for condition in found.get("status", {}).get("conditions") or []:
        if condition["status"] == "True" and condition["type"] in GOOD + BAD:
            why = ": ".join(filter(None, [condition.get("reason"), condition.get("message")]))
            return Outcome(condition["type"] in GOOD, _is_late(found, condition), why)
    return None


def _is_late(found: Object, condition: Object) -> bool:
    """Return whether the deadline ended the job: Kubernetes gives that as a reason, the operators in words alone."""
    if condition.get("reason") == "DeadlineExceeded":
        return True
    seconds = (found["spec"].get("runPolicy") or found["spec"]).get("activeDeadlineSeconds")
    began, ended = found["status"].get("startTime"), condition.get("lastTransitionTime")
    if not (seconds and began and ended):
        return False
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds() >= float(seconds)
