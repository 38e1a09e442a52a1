"""Whether a server's TensorFlow may serve what another TensorFlow exported.

TensorFlow reads SavedModels of its own minor version and of those before it within a major version. One that is newer
may hold operators that the server does not know (https://www.tensorflow.org/guide/versions). So a server that is one
minor behind is named, and one that is further behind is refused.
"""

import re
from importlib.metadata import PackageNotFoundError, version

from colchis_steps._step.errors import InputError

VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.\d+)?(?:[-+.]?[a-z].*)?")


def minor(text: str) -> tuple[int, int]:
    """Return major and minor. Raises InputError where that is not a version."""
    found = VERSION.fullmatch(text)
    if not found:
        raise InputError(f"{text[:128]!r} is not a version of TensorFlow; give one such as 2.20.0")
    return int(found[1]), int(found[2])


def installed() -> str:
    """Return the version of the TensorFlow that is installed here; importing it would take seconds.

    Raises:
        InputError: there is none.
    """
    for package in ("tensorflow-cpu", "tensorflow"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    raise InputError("TensorFlow is not installed; install it with: pip install 'colchis[serve]'")


def judge_versions(exporter: str, server: str) -> str:
    """Return a warning where the server is one minor behind the exporter, "" where it is not behind.

    Raises:
        InputError: it is further behind, of another major version, or one of them is not a version.
    """
    made, serves = minor(exporter), minor(server)
    behind = made[1] - serves[1]
    what = f"TensorFlow {exporter} exported the model and {server} would serve it"
    if made[0] != serves[0] or behind > 1:
        raise InputError(f"{what}; that is too far apart: serve it with {made[0]}.{made[1]} or newer, or train it anew")
    return f"{what}, one minor older: operators that are new in {made[0]}.{made[1]} fail" if behind == 1 else ""
