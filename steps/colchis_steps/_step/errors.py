"""The errors of a step, each with its exit code.

StepError            1   our bug
├── Rejected         3   a gate said no and the caller asked for that to be a failure
├── InputError      65   data, configuration or permission is wrong; the message says the fix
└── TransientError  75   a dependency is away, throttled or late; running the step again may help
"""

LONGEST = 1600  # characters of a sentence: a termination message has room for 4 KiB


class StepError(Exception):
    """The one sentence that a user reads when a step fails: what is wrong, with values; what to do."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the sentence; one that quotes a very long value lacks its middle."""
        text = super().__str__()
        return text if len(text) <= LONGEST else f"{text[: LONGEST * 3 // 4]} […] {text[-LONGEST // 4 :]}"


class Rejected(StepError):  # noqa: N818 - a "no" is a result; it is raised only where the caller wants a failure
    """A gate or a canary said no and ``--fail-on-reject`` asks for that to end the run."""

    exit_code = 3


class InputError(StepError):
    """Data, configuration or permission is wrong: trying again changes nothing."""

    exit_code = 65


class TransientError(StepError):
    """A dependency is away, throttled or late, or a peer is lost: trying again may help."""

    exit_code = 75
