"""The cases of `training` beside the plain one: reading alone, a peer that is lost, the start, checkpoints."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks._rivals import cpu_of
from benchmarks._table import Row, row
from benchmarks._training_place import LEGACY, OURS, SINGLE, Place, threads, write_data
from benchmarks._training_turns import Contender, Running, started, take_turns

TF_DATA, IMPORT = "tf-data", "import"
LIMIT = 90.0  # seconds in which a lost peer should have been noticed
LOST = {"dead-peer": signal.SIGKILL, "frozen-peer": signal.SIGSTOP}
LARGE = 8192  # units of a dense layer: with the momentum 104 MB of variables


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
                cpu += cpu_of(running[name].process.pid) if name == OURS else 0.0
            if turn:  # the first fills the caches
                samples[name].append({"wall_s": wall, "cpu_s": cpu})
    wall, cpu = (median(sample[figure] for sample in samples[IMPORT]) for figure in ("wall_s", "cpu_s"))
    return [
        row("start-up", name, [s | {"beyond_s": s["wall_s"] - wall, "beyond_cpu_s": s["cpu_s"] - cpu} for s in found])
        for name, found in samples.items()
    ]


def losing(case: str, place: Place, runs: int) -> list[Row]:
    """Kill or freeze the second of two workers in the middle of its steps; time until the chief has ended.

    ``wall_s`` is None where it has not after LIMIT seconds.
    """
    endless = replace(place, epochs=10_000)
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
                found.append({"wall_s": _noticed(workers, LOST[case])})
            print(f"{case} {name}: {found[-1]['wall_s']}", file=sys.stderr)
    return [row(case, name, found) for name, found in samples.items()]


def saving(place: Place, runs: int) -> list[Row]:
    """Train a large model in one epoch, and save each few steps: every tenth for the rival, every few seconds for us.

    ``step_ms`` is of steps without a checkpoint, ``saving_ms`` of those during which one was written; ``blocked_ms`` is
    by how much the step is longer that hands it over, and ``write_ms`` what writing one takes.
    """
    every, once = 10, replace(place, epochs=1)
    samples: dict[str, list[dict[str, float]]] = {OURS: [], LEGACY: []}
    for _ in range(runs):
        for name, found in samples.items():
            notes = place.home / f"{name}.steps"
            writes = Path(f"{notes}.writes")
            writes.unlink(missing_ok=True)
            command = once.train(1, {"width": LARGE, "checkpoint_seconds": 3})
            if name == LEGACY:
                command = once.fit(LEGACY, 1, f"--width={LARGE}", f"--backup-steps={every}")
            told = {"RACE_STEPS": str(notes), "RACE_NAME": name}
            begin = time.monotonic()
            variables = {**os.environ, **place.variables(), **told}
            done = subprocess.run(command, env=variables, check=False, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
            ends: list[float] = json.loads(notes.read_text())
            if name == OURS:
                spans = [tuple(map(float, line.split())) for line in writes.read_text().splitlines()]
            else:  # it writes within the step after each tenth
                spans = [(ends[at], ends[at]) for at in range(every - 1, len(ends) - 1, every)]
            found.append({"wall_s": time.monotonic() - begin} | saved(ends, spans))
    return [row("checkpoint", name, found) for name, found in samples.items()]


def saved(ends: Sequence[float], spans: Sequence[tuple[float, ...]]) -> dict[str, float]:
    """Tell steps (when each ended) by what they met of the spans in which checkpoints were written."""
    plain, during, handing = [], [], []
    for begin, end in list(pairwise(ends))[2:]:  # the first ones build the graph
        if any(begin <= first < end for first, _ in spans):
            handing.append(end - begin)
        elif any(first < end and begin < last for first, last in spans):
            during.append(end - begin)
        else:
            plain.append(end - begin)
    if not plain or not handing:
        raise SystemExit(f"of {len(ends)} steps {len(handing)} saved and {len(plain)} met none; give more --steps")
    usual = median(plain)
    found = {"step_ms": usual, "blocked_ms": median(handing) - usual, "mean_ms": (ends[-1] - ends[2]) / (len(ends) - 3)}
    if during:
        found |= {"saving_ms": median(during), "write_ms": median(last - first for first, last in spans)}
    return {name: 1000 * value for name, value in found.items()} | {"checkpoints": len(handing)}


def _children(one: Running) -> list[int]:
    found = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children").read_text().split()
    return sorted(map(int, found))


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
