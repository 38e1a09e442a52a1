"""What workers and ``train`` tell each other, below ``runs/<run>/training/`` in the store.

history.json            the epochs so far; the chief writes it after each checkpoint
result.json             the model: its files, which are blobs by then; the chief writes it last
worker-<rank>.message   the sentence of a worker that failed; a worker that starts removes its own
checkpoints/<step>/…    see _training_checkpoints
"""

from pathlib import Path

from colchis_steps._formats.keys import history_key, message_key, training_result_key
from colchis_steps._formats.runs import Epoch
from colchis_steps._formats.training import History, Result
from colchis_steps._store.api import NotFound, Store
from colchis_steps._store.documents import find_document


def find_message(store: Store, run: str, rank: int) -> str:
    """Give the sentence that a worker has left, or nothing."""
    try:
        return store.read(message_key(run, rank)).decode(errors="replace").strip()
    except NotFound:
        return ""


def find_result(store: Store, run: str, fingerprint: str) -> Result | None:
    """Give what the chief of this training made, if it is through."""
    found = find_document(store, training_result_key(run), Result)
    return found if found and found.fingerprint == fingerprint else None


def find_history(store: Store, run: str, fingerprint: str) -> tuple[Epoch, ...]:
    """Give the epochs of this training so far."""
    found = find_document(store, history_key(run), History)
    return found.epochs if found and found.fingerprint == fingerprint else ()


def alive_path(workdir: Path, rank: int) -> Path:
    """Give the file that a worker of this machine touches once a second."""
    return workdir / f"worker-{rank}.alive"
