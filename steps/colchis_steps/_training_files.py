"""The files by which workers and ``train`` talk, below the working directory that they share."""

from pathlib import Path
from typing import Any

from colchis_steps._formats import Document
from colchis_steps._reports import Epoch


class History(Document, tag="colchis.dev/history/v1"):
    """The epochs so far (``history.json``)."""

    epochs: tuple[Epoch, ...]


class Result(Document, tag="colchis.dev/training-result/v1"):
    """What the chief tells ``train`` of the model in ``export/`` (``result.json``)."""

    fingerprint: str
    parameters: int
    examples_per_second: float
    resumed_from_epoch: int
    history: tuple[Epoch, ...]
    signature: dict[str, dict[str, dict[str, Any]]]
    frameworks: dict[str, str]


def message_path(workdir: Path, rank: int) -> Path:
    """Give the file in which a failing worker leaves its sentence."""
    return workdir / f"worker-{rank}.message"


def alive_path(workdir: Path, rank: int) -> Path:
    """Give the file that a worker touches once a second."""
    return workdir / f"worker-{rank}.alive"
