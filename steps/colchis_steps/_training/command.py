"""A training by a command of the user's, of any framework: the entry ``command:python train.py --depth 3``.

The command runs in the code's directory, once a worker and without a shell. Its environment has torchrun's RANK,
WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, and COLCHIS_STORE, COLCHIS_RUN, COLCHIS_DATA (URI),
COLCHIS_HYPERPARAMETERS (JSON), COLCHIS_CHECKPOINTS and COLCHIS_EXPORT (directories) and COLCHIS_HISTORY (a file).

Reads   what the chief's command left in $COLCHIS_CHECKPOINTS in an earlier try
Writes  that directory's files again below runs/<run>/training/, every few seconds and at the end; names that begin with
        a dot are left out, so write under such a name and rename. history.json has the lines of $COLCHIS_HISTORY
"""

import importlib.metadata
import json
import logging
import os
import platform
import shlex
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from colchis_steps._content.blobs import plain_files
from colchis_steps._content.fetching import fetch_files
from colchis_steps._content.storing import store_directory
from colchis_steps._formats.documents import converted, encode
from colchis_steps._formats.keys import BLOBS, blob_key, training_key
from colchis_steps._formats.models import tree_digest
from colchis_steps._formats.runs import Epoch
from colchis_steps._formats.training import History, Kept, Result
from colchis_steps._models.candidates import blobs_of
from colchis_steps._program.opening import is_installed, open_model
from colchis_steps._savedmodel.library import CHATTER, chosen, is_quiet
from colchis_steps._step.child import run_child
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document
from colchis_steps._store.opening import open_store
from colchis_steps._tensors import described
from colchis_steps._tensors.formats import format_of
from colchis_steps._training.failures import CommandError
from colchis_steps._training.files import write_history
from colchis_steps._training.rendezvous import Place

SYNC = 10.0  # seconds between two looks at the checkpoints
FRAMEWORKS = ("tensorflow", "keras", "torch", "jax", "scikit-learn", "xgboost", "lightgbm", "catboost")
log = logging.getLogger("colchis")


Key = Callable[[str], str]


def master(here: Place) -> str:
    """Return a port of the chief's on which its command can listen: the chief's own, unless somebody holds that."""
    host, _, port = (here.addresses[0] if here.addresses else "127.0.0.1:0").rpartition(":")
    for number in (int(port), 0):
        with socket.socket() as trial:
            try:
                trial.bind((host.strip("[]"), number))
            except OSError:
                continue
            return str(trial.getsockname()[1])
    raise TransientError(f"no port is free at {host} for the command's own exchange; run it again")


def environment(here: Place, port: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return the command's environment; ``values`` are the values that begin with COLCHIS_, without that."""
    mine = {f"COLCHIS_{name}": value for name, value in values.items()}
    return (
        chosen(os.environ)
        | mine
        | {
            "RANK": str(here.rank),
            "WORLD_SIZE": str(here.workers),
            "LOCAL_RANK": os.environ.get("LOCAL_RANK", "0"),
            "MASTER_ADDR": here.addresses[0].rpartition(":")[0].strip("[]") if here.addresses else "127.0.0.1",
            "MASTER_PORT": port,
        }
    )


class Command:
    """The command of one worker, with the directory below which its files lie."""

    def __init__(self, store: Objects, run: str, fingerprint: str, home: Path, *, chief: bool) -> None:
        self.store, self.run, self.fingerprint, self.chief = store, run, fingerprint, chief
        self.beside = open_store(f"{store.url}/{training_key(run, 'command')}")
        self.checkpoints, self.export, self.history = home / "checkpoints", home / "export", home / "history.jsonl"
        self.home, self.snapshot = home, home / "snapshot"
        self._seen: list[tuple[str, int, int]] = []

    def prepare(self) -> bool:
        """Make the directories, with what an earlier try has kept; say whether there was something."""
        for directory in (self.checkpoints, self.export):
            directory.mkdir(parents=True, exist_ok=True)
        found = find_document(self.beside, "files.json", Kept)
        if not found or found.fingerprint != self.fingerprint:
            return False
        fetch_files(self.beside, found.files, self.checkpoints)
        self._seen = list(self._listed())
        return True

    def execute(self, words: Sequence[str], directory: Path, variables: Mapping[str, str], grace: float) -> None:
        """Run the command to its end; hand its output on.

        Raises:
            InputError: it cannot be started.
            CommandError: it ended with an exit code other than 75.
            TransientError: it ended with 75, or was killed.
        """
        over, last = threading.Event(), ""

        def hand_on(line: str) -> None:
            nonlocal last
            if CHATTER.match(line) and is_quiet(variables):
                return
            sys.stderr.write(line)
            last = line.strip()[:256] or last

        keeper = threading.Thread(target=self._keep, args=(over,), name="keep", daemon=True)
        keeper.start()
        try:
            code = run_child(words, directory, variables, grace, hand_on)
        finally:
            over.set()
            keeper.join()
        if code:
            raise _failure(words, code, last)

    def result(self) -> Result:
        """Store what the command exported, and tell of it.

        Raises:
            InputError: it exported nothing, or nothing that can be served.
        """
        try:
            listed = plain_files(self.export)
        except InputError as error:
            raise InputError(f"the command left no model ({error}); let rank 0 write it to $COLCHIS_EXPORT") from error
        kind = format_of(listed, "$COLCHIS_EXPORT")
        signature: described.Signature = {"inputs": {}, "outputs": {}}
        if is_installed(kind):
            model = open_model(self.export, None, "what is in $COLCHIS_EXPORT")
            signature = described.listed(model.inputs, model.outputs)
        files = store_directory(blobs_of(self.store, self.run), self.export, listed=listed).files
        return Result(
            fingerprint=self.fingerprint,
            files=tuple(files),
            tree=tree_digest(files),
            signature=signature,
            frameworks=dict(_frameworks()),
            history=tuple(self._epochs()),
        )

    def _keep(self, over: threading.Event) -> None:
        """Store the checkpoints and the history whenever they have changed, and once more at the end."""
        known = 0
        while self.chief:
            ended = over.wait(SYNC)
            try:
                self.sync()
                if len(epochs := tuple(self._epochs())) != known:
                    known = len(epochs)
                    history = History(fingerprint=self.fingerprint, epochs=epochs)
                    write_history(self.store, self.run, history, self.home)
            except (StepError, OSError) as error:
                log.warning("the command's checkpoints were not stored: %s", error)
            if ended:
                return

    def sync(self) -> None:
        """Store the checkpoints as they are now, if they have changed; blobs first, their list, then drop old blobs."""
        if (now := list(self._listed())) == self._seen or not now:
            return
        shutil.rmtree(self.snapshot, ignore_errors=True)  # what is hashed is what is sent, whatever the command does
        shutil.copytree(self.checkpoints, self.snapshot, ignore=shutil.ignore_patterns(".*"))
        files = store_directory(self.beside, self.snapshot).files
        self.beside.write("files.json", encode(Kept(fingerprint=self.fingerprint, files=tuple(files))))
        wanted = {blob_key(file.sha256) for file in files}
        for key in list(self.beside.keys(BLOBS)):
            if key not in wanted:
                self.beside.delete(key)
        self._seen = now

    def _listed(self) -> Iterator[tuple[str, int, int]]:
        for path in sorted(self.checkpoints.rglob("*")):
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(self.checkpoints).parts):
                yield str(path), path.stat().st_size, path.stat().st_mtime_ns

    def _epochs(self) -> Iterator[Epoch]:
        if not self.history.exists():
            return
        for number, line in enumerate(self.history.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            try:
                yield converted({"epoch": number, "eval": {}, "seconds": 0.0} | json.loads(line), Epoch)
            except (ValueError, TypeError) as error:
                log.warning('line %d of $COLCHIS_HISTORY is not an epoch (%s): {"train": {"loss": 0.5}}', number, error)


def _failure(words: Sequence[str], code: int, last: str) -> StepError:
    name = shlex.join(words)[:256]
    if code < 0:
        return TransientError(f"the command {name!r} was killed ({signal.Signals(-code).name}); run it again")
    kind = TransientError if code == TransientError.exit_code else CommandError
    return kind(f"the command {name!r} ended with exit code {code}: {last}; its log says more")


def _frameworks() -> Iterator[tuple[str, str]]:
    for name in FRAMEWORKS:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    yield "python", platform.python_version()
