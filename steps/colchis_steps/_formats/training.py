"""Documents of a training: history, result, checkpoints and a command's directory."""

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from colchis_steps._formats.documents import Document
from colchis_steps._formats.models import File
from colchis_steps._formats.runs import Epoch, Speed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


class Checkpoint(Document, tag="colchis.dev/checkpoint/v1"):
    """Where a training was; ``fingerprint`` tells which training.

    ``step`` counts global batches over all epochs, ``batches`` those of the epoch that is under way; ``rows`` and
    ``loss`` are sums over them.
    """

    step: int
    batches: int
    rows: int
    loss: float
    fingerprint: str
    history: tuple[Epoch, ...]
    sha256: str = ""  # of state.npz
    size: int = 0
    stopped: bool = False  # a callback has ended the training


class Kept(Document, tag="colchis.dev/kept-files/v1"):
    """The files of $COLCHIS_CHECKPOINTS (``files.json``); their blobs lie beside it."""

    fingerprint: str
    files: tuple[File, ...]


class History(Document, tag="colchis.dev/history/v1"):
    """The epochs so far (``history.json``)."""

    fingerprint: str
    epochs: tuple[Epoch, ...]


class Result(Document, tag="colchis.dev/training-result/v1"):
    """What the chief made (``result.json``): all that the candidate needs, and how the training went."""

    fingerprint: str
    files: tuple[File, ...]
    tree: str
    signature: dict[str, dict[str, dict[str, Any]]]
    frameworks: dict[str, str]
    history: tuple[Epoch, ...]
    parameters: int = 0
    resumed_from_epoch: int = 0
    resumed_from_step: int = 0
    speed: Speed | None = None


class Cause(StrEnum):
    """Where the cause of a worker's failure lies."""

    HERE = "here"  # what this worker was given or asked to do: data, code, a dependency, SIGTERM
    COMMAND = "command"  # the user's command, which ended with a code of its own, perhaps for want of a peer
    PEER = "peer"  # another worker was lost, or was asked to stop
    MEETING = "meeting"  # the workers did not all find each other; the sentence names one


class Failure(Document, tag="colchis.dev/worker-failure/v1"):
    """Why a worker failed (``worker-<rank>.failure.json``), in one sentence and for the program that follows it."""

    cause: Cause
    sentence: str
    at: str
