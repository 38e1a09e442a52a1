"""The back-end ``local``: workers are processes of this machine.

Writes  <workdir>/worker-<rank>.log
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from colchis_steps._formats.keys import failure_key
from colchis_steps._step.main import alive_pipe
from colchis_steps._store.api import Objects
from colchis_steps._training.backends.ends import LAST_WORDS, End, explain
from colchis_steps._training.failures import find_failure
from colchis_steps._training.files import alive_path

POLL = 0.1
GRACE = 5.0  # seconds that the others get to notice that one has failed, and to say so
STALE = 3.0  # a worker that has not touched its file for so long does not run
SAVING = 20.0  # seconds that workers get to save when the step itself is asked to stop


@dataclass(frozen=True)
class Job:
    """What the workers do, and where; ``flags`` go to each of them."""

    store: Objects
    run: str
    flags: Sequence[str]
    workdir: Path
    workers: int
    silence: float  # seconds after which a worker that shows no life is lost
    keep: Sequence[int] = ()  # file descriptors that stay open in the workers


def run_workers(job: Job, on_poll: Callable[[], object], on_line: Callable[[str], object]) -> None:
    """Start the workers and follow them to their end; ``on_line`` gets the chief's log, line by line.

    Raises:
        InputError, TransientError, StepError: what ``explain`` makes of the first worker that failed.
    """
    with contextlib.ExitStack() as stack:
        processes = _start(job, stack)
        stack.push(lambda kind, *_: _stop(processes, SAVING if kind else GRACE / 2))
        chief_log = stack.enter_context((job.workdir / "worker-0.log").open(encoding="utf-8", errors="replace"))
        codes: dict[int, int] = {}
        pulse = _Pulse(job.workdir, job.workers)
        give_up = float("inf")
        while len(codes) < job.workers and time.monotonic() < give_up:
            time.sleep(POLL)
            codes |= {r: c for r, p in enumerate(processes) if r not in codes and (c := p.poll()) is not None}
            for line in chief_log:
                if not LAST_WORDS.match(line):
                    on_line(line.rstrip("\n"))
            on_poll()
            silent = {rank: pulse.silence(rank) for rank in range(job.workers) if rank not in codes}
            frozen = {rank for rank, seconds in silent.items() if seconds > job.silence}
            if give_up == float("inf") and (frozen or any(codes.values())):
                give_up = time.monotonic() + (0.0 if frozen else GRACE)
        if len(codes) == job.workers and not any(codes.values()):
            return
        frozen = {rank for rank in range(job.workers) if rank not in codes and pulse.silence(rank) > STALE}
        error = explain([_end(job, r, codes.get(r), r in frozen) for r in [*codes, *frozen]], job.workers)
    raise error


def _start(job: Job, stack: contextlib.ExitStack) -> list[subprocess.Popen[bytes]]:
    alive, descriptors = stack.enter_context(alive_pipe())
    addresses = ",".join(stack.enter_context(_reserved(job.workers)))
    processes = []
    for rank in range(job.workers):
        alive_path(job.workdir, rank).unlink(missing_ok=True)
        job.store.delete(failure_key(job.run, rank))
        environment = os.environ | alive | _threads(job.workers)
        environment |= {"COLCHIS_ADDRESSES": addresses, "COLCHIS_RANK": str(rank), "LOCAL_RANK": str(rank)}
        environment.pop("TF_CONFIG", None)
        with (job.workdir / f"worker-{rank}.log").open("wb") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "colchis_steps.worker", *job.flags, f"--workdir={job.workdir}"],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[*descriptors, *job.keep],
                    start_new_session=True,
                )
            )
    return processes


def _stop(processes: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + seconds
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _reserved(count: int) -> Iterator[list[str]]:
    """Hold free ports of this machine for the workers: bound here, shared (SO_REUSEPORT), so nobody else gets them."""
    with contextlib.ExitStack() as stack:
        addresses = []
        for _ in range(count):
            holder = stack.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(("127.0.0.1", 0))
            addresses.append(f"127.0.0.1:{holder.getsockname()[1]}")
        yield addresses


def _threads(workers: int) -> dict[str, str]:
    """Share the cores out; what the user has set stays. Exchanges need two threads between operations."""
    cores = max(1, len(os.sched_getaffinity(0)) // workers)
    wanted = {
        "OMP_NUM_THREADS": str(cores),
        "TF_NUM_INTRAOP_THREADS": str(cores),
        "TF_NUM_INTEROP_THREADS": str(max(2, cores)),
        "TF_GRPC_REUSE_PORT": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


class _Pulse:
    """Tells how long ago each worker touched its file, by this process's clock."""

    def __init__(self, workdir: Path, workers: int) -> None:
        self.paths = [alive_path(workdir, rank) for rank in range(workers)]
        self.seen = [(0, time.monotonic())] * workers

    def silence(self, rank: int) -> float:
        """Return the seconds since the last sign of life; call it often."""
        with contextlib.suppress(FileNotFoundError):
            if (touched := self.paths[rank].stat().st_mtime_ns) != self.seen[rank][0]:
                self.seen[rank] = touched, time.monotonic()
        return time.monotonic() - self.seen[rank][1]


def _end(job: Job, rank: int, code: int | None, frozen: bool) -> End:
    lines = (job.workdir / f"worker-{rank}.log").read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip()[:256] for line in reversed(lines) if line.strip()), "")
    if failure := find_failure(job.store, job.run, rank):
        return End(rank, code, frozen, failure.sentence, last, failure.cause)
    return End(rank, code, frozen, last_line=last)
