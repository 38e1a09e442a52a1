"""What workers and ``train`` leave each other, below ``runs/<run>/training/`` in the store and in a working directory.

history.json               the epochs so far; the chief writes it after each checkpoint
result.json                the model: its files, which are blobs by then; the chief writes it last
worker-<rank>.failure.json see failures
checkpoints/<step>/…       see checkpoints

<workdir>/worker-<rank>.alive    is touched once a second
<workdir>/worker-0/epochs        how many epochs history.json has: a ``train`` beside the workers asks no store for it
"""

import contextlib
from pathlib import Path

from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import history_key, training_result_key
from colchis_steps._formats.runs import Epoch
from colchis_steps._formats.training import History, Result
from colchis_steps._step.outputs import write_atomically
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document


def home_of(workdir: Path, rank: int) -> Path:
    """Return the directory of a worker's own files."""
    return workdir / f"worker-{rank}"


def alive_path(workdir: Path, rank: int) -> Path:
    """Return the file that a worker of this machine touches once a second."""
    return workdir / f"worker-{rank}.alive"


def find_result(store: Objects, run: str, fingerprint: str) -> Result | None:
    """Return what the chief of this training made, if it is through."""
    found = find_document(store, training_result_key(run), Result)
    return found if found and found.fingerprint == fingerprint else None


def find_history(store: Objects, run: str, fingerprint: str) -> tuple[Epoch, ...]:
    """Return the epochs of this training so far."""
    found = find_document(store, history_key(run), History)
    return found.epochs if found and found.fingerprint == fingerprint else ()


def write_history(store: Objects, run: str, history: History, home: Path) -> None:
    """Write the epochs so far, then how many they are into the chief's directory."""
    store.write(history_key(run), encode(history))
    note_epochs(home, len(history.epochs))


def note_epochs(home: Path, count: int) -> None:
    """Write how many epochs are finished into the chief's directory."""
    write_atomically(home / "epochs", str(count))


def noted_epochs(workdir: Path) -> int:
    """Return how many epochs the chief has noted; 0 before the first."""
    with contextlib.suppress(FileNotFoundError):
        return int((home_of(workdir, 0) / "epochs").read_text())
    return 0
