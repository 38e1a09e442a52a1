"""The directory in which a training works: one training at a time, and nothing left of a default one that went well."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._step.home import workdir
from colchis_steps._step.polling import poll

LOCKED_SECONDS = 20.0  # workers whose train was killed end in less


@contextlib.contextmanager
def workplace(given: Path | None, run: str) -> Iterator[tuple[Path, int]]:
    """Yield the working directory and its lock, which the workers keep; drop a default one when all went well.

    Raises:
        InputError: it is not ours, or not writable.
        TransientError: another training uses it.
    """
    path = given or workdir(run)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_uid != os.getuid():
            raise InputError(f"the working directory {path} is another user's; give one of your own as --workdir")
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InputError(f"the working directory {path} cannot be used ({error}); give another --workdir") from error
    try:
        if not poll(lambda: _locked(lock) or None, LOCKED_SECONDS):
            raise TransientError(f"another training uses {path}; wait for it, or give another --workdir")
        yield path, lock
        if given is None:
            shutil.rmtree(path)
            with contextlib.suppress(OSError):
                path.parent.rmdir()  # of a run that has nothing else there
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
