"""What workers and ``train`` tell each other, below ``runs/<run>/training/`` in the store.

history.json            the epochs so far; the chief writes it after each checkpoint
result.json             the model: its files, which are blobs by then; the chief writes it last
worker-<rank>.message   the sentence of a worker that failed; a worker that starts removes its own
checkpoints/<step>/…    see _training_checkpoints
"""

from pathlib import Path
from typing import Any

from colchis_steps._formats import Document, File
from colchis_steps._reports import Epoch, Speed
from colchis_steps._store import NotFound, Store, find_document


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


def training_key(run: str, name: str) -> str:
    """Give the key of a file of the run's training."""
    return f"runs/{run}/training/{name}"


def message_key(run: str, rank: int) -> str:
    """Give the key under which a failing worker leaves its sentence."""
    return training_key(run, f"worker-{rank}.message")


def find_message(store: Store, run: str, rank: int) -> str:
    """Give the sentence that a worker has left, or nothing."""
    try:
        return store.read(message_key(run, rank)).decode(errors="replace").strip()
    except NotFound:
        return ""


def find_result(store: Store, run: str, fingerprint: str) -> Result | None:
    """Give what the chief of this training made, if it is through."""
    found = find_document(store, training_key(run, "result.json"), Result)
    return found if found and found.fingerprint == fingerprint else None


def find_history(store: Store, run: str, fingerprint: str) -> tuple[Epoch, ...]:
    """Give the epochs of this training so far."""
    found = find_document(store, training_key(run, "history.json"), History)
    return found.epochs if found and found.fingerprint == fingerprint else ()


def alive_path(workdir: Path, rank: int) -> Path:
    """Give the file that a worker of this machine touches once a second."""
    return workdir / f"worker-{rank}.alive"
