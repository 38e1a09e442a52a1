"""Where rivals live and how they are timed: an environment each, apart from ours, and whole processes in turn.

Reads   benchmarks/rivals/<name>.txt   what pip installs for a rival, pinned
Writes  .rivals/<name>/                its environment, made once; .rivals/bin/ has programs built from Go modules
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks._table import Row, row

HERE = Path(__file__).parent
HOME = HERE.parent / ".rivals"

LAUNCHER = """
import os, sys, time
began = time.monotonic()
to_stderr = [(os.POSIX_SPAWN_DUP2, 2, 1)]
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=to_stderr)
_, status, use = os.wait4(child, 0)
wall = time.monotonic() - began
print(os.waitstatus_to_exitcode(status), wall, use.ru_utime + use.ru_stime, use.ru_maxrss)
"""


def environment(name: str) -> Path:
    """Return the Python of a rival's environment; it is made where it is not there or what it needs has changed."""
    wanted = (HERE / "rivals" / f"{name}.txt").read_text()
    home = HOME / name
    python, ready = home / "bin" / "python", home / "ready.txt"
    if not ready.exists() or ready.read_text() != wanted:
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home], check=True)
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "--requirement", "-"]
        subprocess.run([str(word) for word in install], input=wanted, text=True, check=True)
        ready.write_text(wanted)
    return python


def go_program(module: str, version: str) -> Path:
    """Return a program that is built from a Go module's package, such as ``github.com/…/cmd/crane`` and ``v0.20.6``."""
    path = HOME / "bin" / version / module.rpartition("/")[2]
    if not path.exists():
        settings = {"GOBIN": str(path.parent), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath"}
        subprocess.run(["go", "install", f"{module}@{version}"], env=os.environ | settings, check=True)
    return path


def measured(command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> dict[str, float]:
    """Run a command to its end; give its wall time, the CPU seconds of it and its children, and its peak memory.

    A small process starts it, because Linux counts the memory of whoever starts a process as its peak too.

    Raises:
        SystemExit: it failed; the end of its output is in the sentence.
    """
    words = [str(word) for word in command]
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, *words]
    keep = {"PYTHONDONTWRITEBYTECODE": ""}  # the warm-up compiles, as an image is compiled when it is built
    settings = os.environ | keep | dict(variables or {})
    done = subprocess.run(launch, env=settings, capture_output=True, check=True)
    code, wall, cpu, peak = (float(word) for word in done.stdout.split())
    if code:
        tail = done.stderr.decode(errors="replace")[-2000:]
        raise SystemExit(f"{' '.join(words)} ended with {code:.0f}:\n{tail}")
    return {"wall_s": wall, "cpu_s": cpu, "rss_mib": peak / 1024}


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process so far (proc(5), stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_turn(
    case: str, contenders: Mapping[str, Callable[[], Mapping[str, float | None]]], *, runs: int, warm_up: int = 1
) -> list[Row]:
    """Run the contenders in turn, the order changing each turn; give the medians of each.

    Args:
        case: the race's case.
        contenders: by name, what runs one once, checks what it made and gives the figures of the run.
        runs: how many count.
        warm_up: how many come before and do not count.
    """
    samples: dict[str, list[Mapping[str, float | None]]] = {name: [] for name in contenders}
    for turn in range(1 - warm_up, runs + 1):
        for name in sorted(contenders, reverse=turn % 2 == 0):
            sample = contenders[name]()
            told = ", ".join(f"{key} {value:,.2f}" for key, value in sample.items() if value is not None)
            print(f"{case} {name} {turn if turn > 0 else 'warm-up'}: {told}", file=sys.stderr)
            if turn > 0:
                samples[name].append(sample)
    return [row(case, name, found) for name, found in samples.items()]
