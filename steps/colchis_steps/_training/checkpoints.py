"""Checkpoints of a training in the store: each is there whole or not at all, and known to be intact.

Writes  runs/<run>/training/checkpoints/<step>/{state.npz,checkpoint.json}, checkpoint.json last; the last three stay.
        history.json beside them then tells of the same epochs

A thread writes them while the next steps run. Where it is slower than training, the newest state waits and those
before it are dropped.
"""

import hashlib
import logging
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._data.npz import UNREADABLE, check_npz
from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import checkpoint_key, training_key
from colchis_steps._formats.training import Checkpoint, History
from colchis_steps._step.errors import InputError, StepError
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.sums import CHUNK, read_sums
from colchis_steps._training.files import write_history

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

Found = tuple[Checkpoint, "Mapping[str, Array]"]  # a checkpoint, and its arrays by name
KEPT = 3
log = logging.getLogger("colchis")


def newest(store: Objects, run: str, fingerprint: str) -> "tuple[Checkpoint, dict[str, Array]] | None":
    """Return the newest intact checkpoint of this training; damaged and foreign ones are passed over with a warning."""
    for step in sorted(_steps(store, run), reverse=True):
        where = f"checkpoint {store.url}/{checkpoint_key(run, step, '')[:-1]}"
        try:
            found, arrays = read(store, run, step)
        except NotFound:
            continue  # one that was not finished, or is being removed
        except InputError as error:
            log.warning("%s is damaged (%s); looking for an older one", where, error)
            continue
        if found.fingerprint != fingerprint:
            log.warning("%s is of other data, code or hyper-parameters; not using it", where)
        else:
            return found, arrays
    return None


def read(store: Objects, run: str, step: int) -> "tuple[Checkpoint, dict[str, Array]]":
    """Return the checkpoint after this step, and its arrays by name.

    Raises:
        NotFound: there is none, or it was not finished.
        InputError: it is damaged.
    """
    import numpy as np

    key = checkpoint_key(run, step, "checkpoint.json")
    found = read_document(store, key, Checkpoint)
    with tempfile.TemporaryFile() as file:
        digest = hashlib.sha256()
        try:
            for block in store.stream(checkpoint_key(run, step, "state.npz"), CHUNK):
                digest.update(block)
                file.write(block)
        except NotFound as error:
            raise InputError("its state.npz is missing") from error
        except OSError as error:
            raise _full(tempfile.gettempdir(), error) from error
        if (file.tell(), digest.hexdigest()) != (found.size, found.sha256):
            raise InputError(f"its state.npz has {file.tell()} bytes and sha256 {digest.hexdigest()[:12]}…")
        try:
            check_npz(file)
        except UNREADABLE as error:
            raise InputError(f"its state.npz is not what a training writes ({str(error)[:128]})") from error
        with np.load(file, allow_pickle=False) as arrays:
            return found, {name: arrays[name] for name in arrays.files}


def write(store: Objects, run: str, found: Checkpoint, arrays: "Mapping[str, Array]", workdir: Path) -> None:
    """Write the checkpoint, then the history; drop all but the last three, and what another training left.

    Raises:
        InputError: the disk is full or not writable.
        TransientError: the store is away.
    """
    import numpy as np

    where = workdir
    try:
        with tempfile.NamedTemporaryFile(dir=workdir, prefix=".state-") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub takes allow_pickle for one of the arrays
            file.flush()
            sums = read_sums(Path(file.name))
            found.size, found.sha256 = sums.size, sums.sha256
            for name in ("checkpoint.json", "state.npz"):  # a damaged one that was passed over
                store.delete(checkpoint_key(run, found.step, name))
            store.upload(checkpoint_key(run, found.step, "state.npz"), Path(file.name), sums=sums)
        store.write(checkpoint_key(run, found.step, "checkpoint.json"), encode(found))
        write_history(store, run, History(fingerprint=found.fingerprint, epochs=found.history), workdir)
    except OSError as error:
        raise _full(where, error) from error
    except StepError as error:
        raise type(error)(f"the checkpoint after step {found.step} was not written: {error}") from error
    _prune(store, run, found.step)


def _prune(store: Objects, run: str, step: int) -> None:
    steps = _steps(store, run)
    kept = set(sorted(s for s, names in steps.items() if s <= step and "checkpoint.json" in names)[-KEPT:])
    for old in steps.keys() - kept:
        for name in sorted(steps[old]):  # checkpoint.json goes first: without it there is no checkpoint
            store.delete(checkpoint_key(run, old, name))


def _steps(store: Objects, run: str) -> dict[int, set[str]]:
    top, found = training_key(run, "checkpoints/"), dict[int, set[str]]()
    for key in store.keys(top):
        step, _, name = key.removeprefix(top).partition("/")
        if step.isdecimal():
            found.setdefault(int(step), set()).add(name)
    return found


def _full(where: object, error: OSError) -> InputError:
    return InputError(f"a checkpoint cannot be written to {where} ({error.strerror}); free space there")


class Writer:
    """Writes checkpoints in a thread; ``save`` takes arrays that nobody changes afterwards."""

    def __init__(self, store: Objects, run: str, workdir: Path) -> None:
        self.store, self.run, self.workdir = store, run, workdir
        self._changed = threading.Condition()
        self._next: tuple[Checkpoint, Mapping[str, Array]] | None = None
        self._busy = False
        self._error: Exception | None = None
        threading.Thread(target=self._work, name="checkpoints", daemon=True).start()

    def save(self, found: Checkpoint, arrays: "Mapping[str, Array]") -> None:
        """Hand a checkpoint over.

        Raises:
            InputError, TransientError: one before it could not be written.
        """
        with self._changed:
            self._raise()
            self._next = found, arrays
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until the last checkpoint is written; raise what ``save`` raises."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or not (self._busy or self._next))
            self._raise()

    def _raise(self) -> None:
        if self._error:
            raise self._error

    def _work(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._next)
                (found, arrays), self._next, self._busy = self._next, None, True  # type: ignore[misc]  # there is one
            try:
                write(self.store, self.run, found, arrays, self.workdir)
            except Exception as error:  # noqa: BLE001 - it belongs to the thread that trains
                with self._changed:
                    self._error = error
                    self._busy = False
                    self._changed.notify_all()
                return
