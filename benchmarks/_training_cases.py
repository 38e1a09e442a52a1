"""The cases of `training` beside the plain one: reading alone, a peer that is lost, the start, checkpoints."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks._table import Row, row
from benchmarks._training_place import LEGACY, OURS, SINGLE, Place, threads, write_data
from benchmarks._training_turns import Contender, Running, started, take_turns

TF_DATA, IMPORT, NONE = "tf-data", "import", "-none"
LIMIT = 150.0  # seconds in which a lost peer should have been noticed


def reading(place: Place, runs: int) -> list[Row]:
    """Read 64 MiB in 16 shards, in batches of the race's size."""
    shards, per_shard = 16, 5_300
    home = place.home / "large"
    write_data(home, shards=shards, rows=per_shard, eval_rows=8)
    rows = shards * per_shard
    words = [str(home), str(place.batch), str(runs + 2), str(rows)]
    contenders = {
        name: Contender([sys.executable, "-m", "benchmarks._training_reader", name, *words], place.variables())
        for name in (OURS, TF_DATA)
    }
    found = take_turns(contenders, runs + 1, place.home)
    return [
        row("input", name, [taken | {"examples_s": rows / taken["wall_s"]} for taken in turns])
        for name, turns in found.items()
    ]


def starting(place: Place, runs: int) -> list[Row]:
    """Start each alone, until its first epoch could begin; the bare import is what cannot be helped.

    ``beyond_s`` and ``beyond_cpu_s`` are what a contender takes beyond it; ours is two processes, train and its worker.
    """
    commands: dict[str, Callable[[], Sequence[str]]] = {
        OURS: lambda: place.train(1),
        SINGLE: lambda: place.fit(SINGLE, 1),
        LEGACY: lambda: place.fit(LEGACY, 1),
        IMPORT: lambda: place.fit(IMPORT, 1),
    }
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name in sorted(commands, reverse=turn % 2 == 1):
            with started({name: Contender(commands[name](), place.variables())}, place.home) as running:
                wall, cpu = running[name].start
                cpu += _own_cpu(running[name].process.pid) if name == OURS else 0.0
            if turn:  # the first fills the caches
                samples[name].append({"wall_s": wall, "cpu_s": cpu})
    wall, cpu = (median(sample[figure] for sample in samples[IMPORT]) for figure in ("wall_s", "cpu_s"))
    return [
        row("start-up", name, [s | {"beyond_s": s["wall_s"] - wall, "beyond_cpu_s": s["cpu_s"] - cpu} for s in found])
        for name, found in samples.items()
    ]


def losing(place: Place, runs: int) -> list[Row]:
    """Kill, and freeze, the second of two workers in the middle of its steps; time until the chief has ended.

    ``wall_s`` is None where it has not after LIMIT seconds.
    """
    endless = replace(place, epochs=10_000)
    rows = []
    for case, sent in {"dead-peer": signal.SIGKILL, "frozen-peer": signal.SIGSTOP}.items():
        samples: dict[str, list[dict[str, float | None]]] = {OURS: [], LEGACY: []}
        for _ in range(runs):
            for name, found in samples.items():
                pids = place.home / "pids"
                command = endless.train(2) if name == OURS else endless.fit(LEGACY, 2, f"--pids={pids}")
                shared = {} if name == OURS else threads(2)
                with started({name: Contender(command, place.variables() | shared)}, place.home) as running:
                    one = running[name]
                    one.take()
                    one.turn.sendall(b"g" * 1000)
                    workers = _children(one) if name == OURS else [int(pid) for pid in pids.read_text().split()]
                    found.append({"wall_s": _noticed(workers, sent)})
                print(f"{case} {name}: {found[-1]['wall_s']}", file=sys.stderr)
        rows += [row(case, name, found) for name, found in samples.items()]
    return rows


def saving(place: Place, _runs: int) -> list[Row]:
    """Train a model of 3 million numbers with checkpoints, one a second or so, and without; ratios are of the two.

    tf_keras's BackupAndRestore counts steps, ours seconds. Ours without has still one after each epoch.
    """
    width, every = 2048, max(1, place.steps // 3)
    contenders = {}
    for name, seconds in {OURS: 1, OURS + NONE: 10**6}.items():
        command = place.train(1, {"width": width, "checkpoint_seconds": seconds})
        contenders[name] = Contender(command, place.variables())
    for name, more in {
        LEGACY: [f"--backup-steps={every}"],
        LEGACY + NONE: ["--backup=", f"--told={place.home / 'none.json'}"],
    }.items():
        contenders[name] = Contender(place.fit(LEGACY, 1, f"--width={width}", *more), place.variables())
    found = take_turns(contenders, place.epochs - 1, place.home)
    made = {name: row("checkpoint", name, turns) for name, turns in found.items()}
    for name in (OURS, LEGACY):
        for figure in ("wall", "cpu"):
            these, those = made[name][f"{figure}_s"], made[name + NONE][f"{figure}_s"]
            made[name][f"{figure}_ratio"] = round(these / those, 3)  # type: ignore[operator]  # they are numbers
    return list(made.values())


def _children(one: Running) -> list[int]:
    found = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children").read_text().split()
    return sorted(map(int, found))


def _own_cpu(pid: int) -> float:
    """Give the CPU seconds of a process without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _noticed(workers: Sequence[int], sent: signal.Signals) -> float | None:
    chief, other = workers
    begin = time.monotonic()
    os.kill(other, sent)
    try:
        while time.monotonic() - begin < LIMIT:
            if not _alive(chief):
                return time.monotonic() - begin
            time.sleep(0.01)
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(other, signal.SIGKILL)  # a frozen one does not end by itself


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
