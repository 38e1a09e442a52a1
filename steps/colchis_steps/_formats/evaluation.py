"""What the parts of an evaluation hand on by files: what was fetched, and what the models answered."""

import msgspec

from colchis_steps._formats.documents import Document, Part
from colchis_steps._formats.models import Description
from colchis_steps._formats.policy import Policy
from colchis_steps._formats.runs import Signature


class Known(Part):
    """What was found of the baseline on the same data: figures, and the run whose evaluation has them."""

    run: str
    metrics: dict[str, float]
    slices: dict[str, dict[str, float]]
    signature: Signature = msgspec.field(default_factory=dict)


class Given(Document, tag="colchis.dev/given/v1"):
    """What is to be judged (``given.json``); the models' files and the data's test split lie beside it."""

    tree: str  # the candidate's
    data: str  # the data set's digest
    baseline: int | None  # the stable version; None where there is none
    baseline_digest: str  # of its manifest
    began: float  # seconds since 1970
    blobs: dict[str, Description] = msgspec.field(default_factory=dict)  # the candidate's, before they were read
    code: str = ""  # digest of the code that has the metrics of one's own
    known: Known | None = None  # what an earlier evaluation found of the baseline, so that it need not be asked
    baseline_tree: str = ""
    policy: Policy | None = None  # of the model; None where it has none
    policy_digest: str = ""
    measures: bool = False  # whether time and memory of the candidate are to be measured


class Answers(Document, tag="colchis.dev/answers/v1"):
    """What became of the models (``answers.json``); their predictions lie beside it, a NumPy array each."""

    missing: str = ""  # why the baseline has no predictions
    outputs: tuple[str, ...] = ()  # their names; of a known task only the one that is judged
    costs: dict[str, float] = msgspec.field(default_factory=dict)  # of the candidate
    signature: Signature = msgspec.field(default_factory=dict)  # of the candidate
    baseline_signature: Signature = msgspec.field(default_factory=dict)  # where it was asked


class Measured(Document, tag="colchis.dev/measured/v1"):
    """What metrics of one's own gave (``measured.json``): finite numbers by name, of candidate and baseline."""

    candidate: dict[str, float]
    baseline: dict[str, float] | None = None


class Refusal(Document, tag="colchis.dev/refusal/v1"):
    """Why a part could not go on (``refusal.json``): bad input, which the last part reports."""

    message: str
