"""The local server as a process of its own: started once, found again by a lock, stopped cleanly.

A running server holds a lock on ``server.json``, so a file that a killed server left behind is known for stale and a
pid that another program has now is never taken for ours.
"""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import msgspec

from colchis_steps._formats.documents import Part
from colchis_steps._step.errors import InputError, TransientError
from colchis_steps._step.home import port as default_port
from colchis_steps._step.polling import poll

CONFIG, STATE, LOG = "config.json", "server.json", "server.log"


HOST = "127.0.0.1"
LOG_BYTES = 1 << 20  # a longer log is put aside when the server starts
STARTING = 60.0
STOPPING = 40.0  # longer than the server lets requests end


class Running(Part):
    """A server that runs: its process and where it listens."""

    pid: int
    host: str
    port: int

    @property
    def url(self) -> str:
        """Return the address without a slash at its end."""
        return f"http://{self.host}:{self.port}"


@contextlib.contextmanager
def held(path: Path | None, state: Running) -> Iterator[None]:
    """Hold the file with ``state`` in it; without a path do nothing.

    Raises:
        InputError: another server holds it.
    """
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if poll(lambda: _lock(file, fcntl.LOCK_EX), 1.0) is None:  # who looks whether we run locks it for an instant
            raise InputError(f"another server holds {path}; stop that one, or give another --pid-path")
        file.truncate(0)
        file.write(msgspec.json.encode(state))
        file.flush()
        yield  # what it says stays: the next server takes the same port


def _lock(file: IO[bytes], how: int) -> bool | None:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return True


def running(directory: Path) -> Running | None:
    """Return the server that serves this directory's configuration, or None."""

    def look() -> Running | bool | None:
        try:
            with (directory / STATE).open("rb") as file:
                if _lock(file, fcntl.LOCK_SH):
                    return False
                return msgspec.json.decode(file.read(), type=Running)
        except FileNotFoundError:
            return False
        except msgspec.DecodeError:  # it holds the file and has yet to write
            return None

    return poll(look, 2.0) or None  # type: ignore[return-value] # False or None: none runs


def start(directory: Path, port: int) -> Running:
    """Start the server unless it runs; it outlives this process, and its own session keeps signals from it.

    Raises:
        InputError: the port is in use, or something else that the server says.
        TransientError: it does not begin in time.
    """
    if found := running(directory):
        return found
    log = directory / LOG
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    command = [sys.executable, "-m", "colchis_steps.serve", f"--config={directory / CONFIG}", f"--port={port}"]
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*command, f"--pid-path={directory / STATE}"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=directory,
            start_new_session=True,
        )

    def begun() -> Running | int | None:
        found = running(directory)
        return found if found else process.poll()

    result = poll(begun, STARTING)
    if isinstance(result, Running):
        process.returncode = 0  # it is not ours to wait for
        return result
    if result == InputError.exit_code:
        raise InputError(last_line(directory))
    raise TransientError(f"the local server does not start ({last_line(directory)}); read {log}")


def port_for(directory: Path, port: int | None) -> int:
    """Return the port to start on: the one given, or $COLCHIS_PORT, or the home's own, which no other home has.

    A home's own port is that of the last time, at first 8501; where another program has it, any free one (0).
    """
    if port or os.environ.get("COLCHIS_PORT"):
        return port or default_port()
    last = Running(0, HOST, default_port())
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        last = msgspec.json.decode((directory / STATE).read_bytes(), type=Running)
    return last.port if _free(last) else 0


def endpoint_now(directory: Path, endpoint: str) -> str:
    """Return an endpoint at the port that the local server has now; one elsewhere is given as it is."""
    parts = urlsplit(endpoint)
    if parts.hostname in {"127.0.0.1", "localhost"} and (server := running(directory)):
        return server.url + parts.path
    return endpoint


def stop(directory: Path) -> Running | None:
    """Stop the server and wait until its port is free; return what ran, or None.

    Raises:
        TransientError: it does not end in time.
    """
    if (found := running(directory)) is None:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    if poll(lambda: None if running(directory) else _free(found), STOPPING) is None:
        raise TransientError(f"the local server (pid {found.pid}) does not end; end it with: kill -9 {found.pid}")
    return found


def _free(server: Running) -> bool | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except OSError:
            return None
    return True


def last_line(directory: Path) -> str:
    """Return the last line of the server's log, without time and level."""
    with contextlib.suppress(FileNotFoundError), (directory / LOG).open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - 4096))
        if lines := file.read().decode(errors="replace").strip().splitlines():
            return re.sub(r"^[\d:]{8} [A-Z]+ ", "", lines[-1])[:512]
    return "its log is empty"
