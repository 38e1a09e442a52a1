"""Documents of a rollout: the judged steps of a canary and what was found."""

import msgspec

from colchis_steps._formats.documents import Document, Part


class Finding(Part):
    """A measure of a canary: so many events among so many trials, and what that shows."""

    name: str
    events: int
    trials: int
    meaning: str = msgspec.field(name="told")  # what an event is, and how much of it is tolerated
    evidence: float  # natural logarithm; above the alarm's it speaks against the canary
    state: str  # good, bad, open


class JudgedStep(Part):
    """A canary at one weight: per cent of the traffic, seconds that it was watched, and the verdict on it."""

    weight: int
    seconds: float
    verdict: str  # pass, fail
    reason: str = ""
    findings: tuple[Finding, ...] = ()


class Rollout(Document, tag="colchis.dev/rollout/v1"):
    """How a version was rolled out (``models/<model>/rollouts/<run>.json``); ``stable`` is what it was judged by."""

    model: str
    version: int
    run: str
    stable: int | None
    started_at: str
    verdict: str = ""  # pass, fail; "" while it is not known
    reason: str = ""
    steps: tuple[JudgedStep, ...] = ()
    finished_at: str = ""
