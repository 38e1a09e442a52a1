"""TensorFlow, as every step has it: the same kernels on any processor, and none of its chatter.

Reads   $TF_ENABLE_ONEDNN_OPTS, $TF_CPP_MIN_LOG_LEVEL   what the user has set stays; docs/decisions/0014-onednn.md

While it is imported, TensorFlow writes to stderr whatever its log level is: its logging is not set up yet. So the lines
go through a filter meanwhile; it is a process, as what TensorFlow says before it aborts has to come through.
"""

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

CHOICE = {
    "TF_ENABLE_ONEDNN_OPTS": "1",  # TensorFlow's own default depends on the processor
    "TF_CPP_MIN_LOG_LEVEL": "3",  # what goes wrong comes as an exception too
}
CHATTER = re.compile(r"WARNING: All log messages before absl::InitializeLog|[IWE]\d{4} [\d:.]+ +\d+ [\w./-]+:\d+\] ")
FILTER = """
import re, sys
chatter = re.compile(sys.argv[1].encode())
for line in sys.stdin.buffer:
    if not chatter.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""
_once = threading.Lock()


def chosen(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the choice in it where it makes none."""
    return {**CHOICE, **environment}


def is_quiet(environment: Mapping[str, str]) -> bool:
    """Return whether TensorFlow's chatter is unwanted; somebody who looks into it asks for a lower level."""
    return environment.get("TF_CPP_MIN_LOG_LEVEL") == CHOICE["TF_CPP_MIN_LOG_LEVEL"]


def load_tensorflow() -> Any:
    """Import TensorFlow; call this before anything else of the process does."""
    with _once:
        if "tensorflow" in sys.modules:
            return sys.modules["tensorflow"]
        os.environ.update(chosen(os.environ))
        with _without_chatter() if is_quiet(os.environ) else contextlib.nullcontext():
            import tensorflow as tf
        return tf


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Let stderr, of all that this process runs, go through the filter."""
    sys.stderr.flush()
    stderr, command = os.dup(2), [sys.executable, "-I", "-S", "-c", FILTER, CHATTER.pattern]
    # a session of its own: what ends us by the terminal's keyboard must not end it first
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True) as child:
        assert child.stdin  # noqa: S101 - it is a pipe
        os.dup2(child.stdin.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
