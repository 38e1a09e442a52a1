"""What a model's owner demands of every version of it: ``models/<model>/policy.json``.

Unlike other documents it is held strictly: a demand that is misspelt, or of a newer release, must not go unheard.
"""

from typing import Literal

import msgspec

from colchis_steps._formats.documents import Document, Part


class Statistics(Part, forbid_unknown_fields=True):
    """The least that figures may rest on; the defaults demand nothing."""

    rows: int = 0  # of the test split
    confidence: float = 0.0  # of bounds on values that have an interval
    margin: float = 1.0  # of not_worse, at most


class Policy(Document, tag="colchis.dev/policy/v1", forbid_unknown_fields=True):
    """A run's own arguments can be stricter, and never looser."""

    thresholds: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)  # as those of a run
    statistics: Statistics = msgspec.field(default_factory=Statistics)
    first_model: Literal["accept", "reject"] = "accept"
    signature: Literal["warn", "error"] = "warn"  # what a signature that breaks clients of the served one means
    signers: tuple[str, ...] = ()  # names of keys in trust.json, all of which have to sign
    approval: Literal["auto", "manual"] = "auto"
    unjudged: bool = False  # whether a version that no gate has judged may be served
    operations: tuple[str, ...] = ()  # TensorFlow's, that a run may allow a model
