"""What a server of a test's own has written."""

import select
import subprocess
import time
from pathlib import Path


def until(process: subprocess.Popen[bytes], log: Path, text: str, seconds: float = 150) -> None:
    """Wait for the text in the log of a server that runs."""
    deadline = time.monotonic() + seconds
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        select.select([], [], [], 0.05)
