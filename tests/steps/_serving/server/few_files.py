"""A server of its own that may open 1,024 files, and room here for more connections than that."""

import contextlib
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.steps.server_log import until

Address = tuple[str, int]


@contextlib.contextmanager
def few_files(top: Path) -> Iterator[tuple[Address, Address]]:
    """Serve nothing; give the addresses of HTTP and of gRPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 2048 if hard == resource.RLIM_INFINITY else min(hard, 2048)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))
    (top / "config.json").write_text('{"models": {}}')
    command = [sys.executable, "-m", "colchis_steps.serve", f"--config={top / 'config.json'}"]
    with (top / "log").open("wb") as log:
        limited = ["prlimit", "--nofile=1024:1024", *command, "--port=0", "--grpc-port=0"]
        process = subprocess.Popen(limited, stderr=log)
    try:
        for text in ("serving gRPC on", "on http://"):
            until(process, top / "log", text)
        found = dict(re.findall(r"(http://|gRPC on )([\d.]+:\d+)", (top / "log").read_text()))
        yield _address(found["http://"]), _address(found["gRPC on "])
    finally:
        process.terminate()
        process.wait(60)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)
