"""Checkpoints of a training, one directory an epoch: each is there whole or not at all, and known to be intact.

Writes  <workdir>/checkpoints/epoch-00007/{variables.*,checkpoint.json}; the last three are kept
"""

import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from colchis_steps._blobs import scan
from colchis_steps._formats import Document, File, decode, encode
from colchis_steps._reports import Epoch
from colchis_steps._step import InputError

KEPT = 3
INCOMPLETE = ".incomplete-"
log = logging.getLogger("colchis")


class Checkpoint(Document, tag="colchis.dev/checkpoint/v1"):
    """What a checkpoint holds; ``fingerprint`` tells which training it belongs to."""

    epoch: int
    fingerprint: str
    files: tuple[File, ...]
    history: tuple[Epoch, ...]


def directory(top: Path, epoch: int) -> Path:
    """Give the directory of an epoch's checkpoint."""
    return top / f"epoch-{epoch:05}"


def newest(top: Path, fingerprint: str) -> Checkpoint | None:
    """Give the newest intact checkpoint of this training; damaged and foreign ones are passed over with a warning."""
    for path in sorted(top.glob("epoch-*"), reverse=True):
        try:
            found = decode(Checkpoint, (path / "checkpoint.json").read_bytes(), str(path / "checkpoint.json"))
            files = tuple(file for file in scan(path) if file.path != "checkpoint.json")
        except (OSError, InputError) as error:
            log.warning("checkpoint %s is damaged (%s); looking for an older one", path, error)
            continue
        if files != found.files:
            log.warning("checkpoint %s is damaged (its files are not those it lists); looking for an older one", path)
        elif found.fingerprint != fingerprint:
            log.warning("checkpoint %s is of other data, code or hyper-parameters; not using it", path)
        else:
            return found
    return None


def save(top: Path, fingerprint: str, history: Sequence[Epoch], model: list[Any], optimizer: list[Any]) -> None:
    """Write the variables after the history's last epoch, and drop all but the last three checkpoints.

    Raises:
        InputError: the disk is full or not writable.
    """
    import tensorflow as tf

    epoch = history[-1].epoch
    try:
        top.mkdir(parents=True, exist_ok=True)
        for left in top.glob(f"{INCOMPLETE}*"):
            shutil.rmtree(left)
        temporary = Path(tempfile.mkdtemp(dir=top, prefix=INCOMPLETE))
        tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(temporary / "variables"))
        about = Checkpoint(epoch=epoch, fingerprint=fingerprint, files=tuple(scan(temporary)), history=tuple(history))
        (temporary / "checkpoint.json").write_bytes(encode(about))
        if directory(top, epoch).exists():  # a damaged one that was passed over
            shutil.rmtree(directory(top, epoch))
        temporary.rename(directory(top, epoch))
        for old in sorted(top.glob("epoch-*"))[:-KEPT]:
            shutil.rmtree(old)
    except (OSError, tf.errors.OpError) as error:
        raise InputError(
            f"the checkpoint of epoch {epoch} cannot be written below {top} ({str(error)[:256]}); "
            "free space there, or give another --workdir"
        ) from error


def restore(top: Path, epoch: int, model: list[Any], optimizer: list[Any]) -> None:
    """Set the variables to what they were after the epoch.

    Raises:
        InputError: the checkpoint is of a model with other variables.
    """
    import tensorflow as tf

    path = directory(top, epoch)
    try:
        checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
        checkpoint.read(str(path / "variables")).assert_consumed().assert_existing_objects_matched()
    except (ValueError, AssertionError, tf.errors.OpError) as error:
        raise InputError(
            f"checkpoint {path} does not fit this model ({str(error)[:256]}); give another --workdir or --run"
        ) from error
