"""Race `pack`: a directory with a model becomes an image in a registry on loopback.

Reads   $SIZE_MIB                          the model's size, 1024 without it; four shards of weights and a small graph
        $KANIKO                            kaniko's executor; without it kaniko does not take part
Writes  benchmarks/results/pack.json       medians, and the table on stdout

``server_cpu_s`` is what the registry spent meanwhile.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

from benchmarks._pack_rivals import CONTENDERS, Push, missing
from benchmarks._registry import Running, check, digest, registry
from benchmarks._rivals import cpu_of, in_turn, measured
from benchmarks._table import Row, table, with_ratio, write

from colchis_steps._packing.known import SETTLED

CASES = ("full", "one-shard", "unchanged", "4x")
OURS = "colchis"
SHARDS = 4
SCALE = 0.02  # of the weights: small normal numbers, which hardly compress, as trained ones


def write_shard(path: Path, mib: int, seed: int) -> None:
    """Write so many MiB of normal float32 numbers."""
    import numpy as np

    numbers = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for _ in range(mib):
            file.write((numbers.standard_normal(1 << 18, np.float32) * np.float32(SCALE)).tobytes())


def shard(model: Path, number: int) -> Path:
    """Return the path of a shard of weights."""
    return model / "variables" / f"variables.data-{number:05}-of-{SHARDS:05}"


def write_model(model: Path, mib: int) -> None:
    """Write a model of the size: four shards of weights and a graph of 300 kB."""
    for number in range(SHARDS):
        write_shard(shard(model, number), mib // SHARDS, seed=number)
    (model / "saved_model.pb").write_bytes(bytes(range(256)) * 1172)


def digests(model: Path) -> dict[str, str]:
    """Return the sha256 of each file, by its path below the directory."""
    found = {}
    for path in sorted(model.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(model).as_posix()] = digest(file.read)
    return found


def pushed(name: str, model: Path, scratch: Path, at: Running, tag: str) -> dict[str, float]:
    """Let the contender push the model once, and hold what is in the registry against it; give what it took."""
    push = Push(model, scratch / f"{name}-{tag}", at.address, f"race/{name}", tag)
    push.scratch.mkdir()
    try:
        command = CONTENDERS[name](push)
        before, spent = at.received(), cpu_of(at.pid)
        places = {"DOCKER_CONFIG": scratch, "XDG_CACHE_HOME": scratch / "cache", "TMPDIR": push.scratch}
        sample = measured(command, {name: str(path) for name, path in places.items()})
        sample |= {"bytes": at.received() - before, "server_cpu_s": cpu_of(at.pid) - spent}
    finally:
        shutil.rmtree(push.scratch)
    check(at.address, push.repository, tag, digests(model))
    return sample


def fresh(name: str, model: Path, scratch: Path) -> Callable[[], Mapping[str, float | None]]:
    """Return what pushes into a registry that has nothing."""

    def run() -> Mapping[str, float | None]:
        with registry(scratch / "registry") as at:
            return pushed(name, model, scratch, at, "1")

    return run


def following(
    name: str, model: Path, scratch: Path, at: Running, *, change: bool
) -> Callable[[], Mapping[str, float | None]]:
    """Return what pushes a further version into a registry that has the one before, with a shard changed or none."""
    turns = count(1)
    size = shard(model, 0).stat().st_size >> 20

    def run() -> Mapping[str, float | None]:
        turn = next(turns)
        if change:
            write_shard(shard(model, 0), size, seed=1000 * (1 + sorted(CONTENDERS).index(name)) + turn)
        return pushed(name, model, scratch, at, str(turn))

    return run


def race(case: str, names: Sequence[str], mib: int, scratch: Path, *, runs: int) -> list[Row]:
    """Run the contenders in turn; give the medians of each. The warm-up is the first version, where one goes before."""
    model = scratch / "model" / "1"
    write_model(model, mib * 4 if case == "4x" else mib)
    try:
        if case in {"full", "4x"}:
            return in_turn(case, {name: fresh(name, model, scratch) for name in names}, runs=runs)
        change = case == "one-shard"
        time.sleep(
            SETTLED + 0.1
        )  # a file that was just written may change unseen, so the packer does not know it again
        with registry(scratch / "registry") as at:
            followed = {name: following(name, model, scratch, at, change=change) for name in names}
            return in_turn(case, followed, runs=runs)
    finally:
        shutil.rmtree(model.parent)
        shutil.rmtree(scratch / "store", ignore_errors=True)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="benchmarks.pack",
        description=__doc__.partition("\n")[0],
        epilog="example: SIZE_MIB=64 make bench RACE=pack OPTIONS='--case full --contender colchis --contender olot'",
    )
    p.add_argument("--case", choices=CASES, action="append", help="default: each")
    p.add_argument("--contender", choices=CONTENDERS, action="append", help="default: each that can run here")
    p.add_argument("--runs", type=int, default=5, help="of each contender; default 5")
    p.add_argument("--directory", type=Path, help="where model, registry and copies go; default: $TMPDIR")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the race."""
    args = parser().parse_args(argv)
    size = os.environ.get("SIZE_MIB", "1024")
    if args.runs < 1:
        parser().error(f"--runs is {args.runs}; a median takes 1 run, a race 5")
    if not size.isdecimal() or int(size) < SHARDS:
        parser().error(f"SIZE_MIB is {size!r}; give a whole number, at least {SHARDS}")
    names = []
    for name in args.contender or CONTENDERS:
        if lacking := missing(name):
            print(f"{name} does not take part: {lacking}", file=sys.stderr)
        else:
            names.append(name)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that registry and files go however the race ends
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=args.directory) as scratch:
        (Path(scratch) / "config.json").write_text("{}")  # Docker's: no login
        for case in args.case or CASES:
            raced = race(case, names, int(size), Path(scratch), runs=args.runs)
            rows += with_ratio([made | {"size_mib": int(size)} for made in raced], OURS)
    print(table(rows))
    print(write("pack", rows), file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
