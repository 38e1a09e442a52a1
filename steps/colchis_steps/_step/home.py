"""Where a local run keeps what it makes, and on which port it serves.

Reads   $COLCHIS_HOME   the directory of local runs, ``./.colchis`` without it
        $COLCHIS_PORT   the local server's port, 8501 (TensorFlow Serving's REST port) without it
        $COLCHIS_HERE   set where a process stands in for a pod, whose image then never ran
"""

import os
import tempfile
from pathlib import Path

from colchis_steps._step.errors import InputError

HERE = "run on this machine"  # in the place of an image


def home() -> Path:
    """Return the directory of local runs, absolute; it need not be there yet."""
    return Path(os.environ.get("COLCHIS_HOME") or ".colchis").absolute()


def default_store() -> str:
    """Return the URL of the local store, which verbs use where no ``--store`` is given."""
    return (home() / "store").as_uri()


def used_image(name: str) -> str:
    """Return the image that a template names, or HERE where a process runs in place of its pod."""
    return HERE if name and os.environ.get("COLCHIS_HERE") else name


def workdir(run: str) -> Path:
    """Return where a run's training keeps files while it works: below the run's home, or on a pod's scratch volume.

    A pod's root cannot be written to, and ``$TMPDIR`` or ``/tmp`` is its own.
    """
    if "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("COLCHIS_HOME"):
        return Path(tempfile.gettempdir(), f"colchis-{run}")
    return home() / "runs" / run / "training"


def port() -> int:
    """Return the port that the local server listens on.

    Raises:
        InputError: ``$COLCHIS_PORT`` is not a port number.
    """
    text = os.environ.get("COLCHIS_PORT") or "8501"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise InputError(f"COLCHIS_PORT is {text[:128]!r}, which is not a port; set it to a number from 1 to 65535")
    return int(text)
