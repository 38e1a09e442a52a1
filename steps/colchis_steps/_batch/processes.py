"""Predictions by several processes of this machine: each has a share of the parts."""

import os
import subprocess
import sys
from collections.abc import Sequence

from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._step.main import alive_pipe

INDEX = "JOB_COMPLETION_INDEX"  # which of the workers this is; Kubernetes sets it in a pod of an Indexed Job


def index_of(workers: int) -> int:
    """Return which of the workers this is. Raises InputError where the environment does not say."""
    text = os.environ.get(INDEX, "")
    if not text.isdecimal() or int(text) >= workers:
        raise InputError(f"${INDEX} is {text[:32]!r}, which is none of {workers} workers; set it from 0 on")
    return int(text)


def in_processes(flags: Sequence[str], workers: int) -> None:
    """Let so many processes predict a share of the parts each.

    Raises:
        StepError: one of them failed, of the kind that its exit code says; its own sentence is in the log.
    """
    command = [sys.executable, "-m", "colchis_steps.batch", *flags]
    with alive_pipe() as (alive, descriptors):
        processes = [
            subprocess.Popen(command, env=os.environ | alive | {INDEX: str(i)}, pass_fds=descriptors)
            for i in range(workers)
        ]
        codes = [process.wait() for process in processes]
    if worst := max(codes, key=lambda code: (code != 0, code == InputError.exit_code)):
        kind = {InputError.exit_code: InputError, 1: StepError, 2: StepError}.get(worst, TransientError)
        raise kind(f"process {codes.index(worst)} of {workers} ended with {worst}; the last line of its log says why")
