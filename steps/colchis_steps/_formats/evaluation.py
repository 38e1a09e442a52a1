"""What the parts of an evaluation hand on by files: what was fetched, and what the models answered."""

import msgspec

from colchis_steps._formats.documents import Document
from colchis_steps._formats.models import Description


class Given(Document, tag="colchis.dev/given/v1"):
    """What is to be judged (``given.json``); the models' files and the data's test split lie beside it."""

    tree: str  # the candidate's
    data: str  # the data set's digest
    baseline: int | None  # the stable version; None where there is none
    baseline_digest: str  # of its manifest
    began: float  # seconds since 1970
    blobs: dict[str, Description] = msgspec.field(default_factory=dict)  # the candidate's, before they were read


class Answers(Document, tag="colchis.dev/answers/v1"):
    """What became of the models (``answers.json``); their predictions lie beside it, a NumPy array each."""

    missing: str = ""  # why the baseline has no predictions


class Refusal(Document, tag="colchis.dev/refusal/v1"):
    """Why a part could not go on (``refusal.json``): bad input, which the last part reports."""

    message: str
