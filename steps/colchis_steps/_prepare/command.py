"""The user's command: it reads ``$COLCHIS_INPUT``, writes ``$COLCHIS_OUTPUT``, and meets no key of the store."""

import logging
import os
import shutil
import signal
import sys
from pathlib import Path

from colchis_steps._step.child import run_child, words_of
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._step.text import one_line

GRACE = 30.0  # seconds between SIGTERM and SIGKILL
log = logging.getLogger("colchis")


def execute(text: str, code: Path, given: Path, output: Path) -> None:
    """Run ``command:…`` in the directory of the code; what is below ``output`` is gone before.

    Raises:
        InputError: it cannot be started, or ended with an exit code other than 0 and 75. TransientError: with 75, or
            it was killed.
    """
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    code.mkdir(parents=True, exist_ok=True)
    words, last = words_of(text), ""

    def hand_on(line: str) -> None:
        nonlocal last
        sys.stderr.write(line)
        last = line.strip()[:256] or last

    if words[0] in {"python", "python3"}:
        words[0] = sys.executable
    variables = os.environ | {"COLCHIS_INPUT": str(given), "COLCHIS_OUTPUT": str(output)}
    number = run_child(words, code, variables, GRACE, hand_on)
    name = one_line(text, 256)
    if number < 0:
        raise TransientError(f"{name!r} was killed ({signal.Signals(-number).name}); give it more memory, or run again")
    if number == TransientError.exit_code:
        raise TransientError(f"{name!r} asks to be run again: {last}")
    if number:
        raise InputError(f"{name!r} ended with exit code {number}: {last}; its log says more")
