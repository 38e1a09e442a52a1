"""Race `training`: our trainer against ``fit``, on the same model, global batch and data files.

Reads   benchmarks/rivals/tf-keras.txt    what tf_keras needs, in an environment of its own
Writes  benchmarks/results/training.json  medians, and the table on stdout
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from benchmarks._table import Row, row, table, write
from benchmarks._training_cases import LOST, losing, reading, saving, starting
from benchmarks._training_embedding import embedding
from benchmarks._training_place import (
    BARE,
    DIGITS,
    LEGACY,
    OURS,
    SINGLE,
    Place,
    equal,
    order_of,
    threads,
    write_data,
)
from benchmarks._training_turns import Contender, take_turns

WORKERS = {"1-worker": 1, "2-workers": 2, "4-workers": 4}
OTHERS = {"input": reading, "start-up": starting, "checkpoint": saving, "embedding": embedding} | {
    c: partial(losing, c) for c in LOST
}
EPOCHS = 5  # of a turn: what a contender still writes when the turn ends is little beside it
DEVICES = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"


def race(place: Place, case: str, devices: int) -> list[Row]:
    """Let all train by turns with so many workers; their curves must be the same."""
    workers = WORKERS[case]
    shared = threads(workers) if workers > 1 else {}
    command = place.train(workers)
    told = place.variables() | {"RACE_EPOCHS": str(EPOCHS)}
    contenders = {
        OURS: Contender(command, told, workers),
        LEGACY: Contender(place.fit(LEGACY, workers), told | shared, workers),
        SINGLE: Contender(place.fit(SINGLE, 1), told),
        BARE: Contender(place.fit(BARE, 1), told),
    }
    found = take_turns(contenders, (place.epochs - 1) // EPOCHS, place.home)
    record = place.record(command)
    curves = {name: json.loads((place.home / f"{name}.json").read_text()) for name in (LEGACY, SINGLE)}
    curves[OURS] = [epoch["train"]["loss"] for epoch in record["history"]]
    for name, curve in curves.items():
        if not equal(curve, curves[SINGLE]):
            raise SystemExit(f"{case}: the losses of {name}, {curve}, are not to {DIGITS} digits {curves[SINGLE]}")
    rows = [
        row(case, name, [figures(place, taken) for taken in turns])
        | {"best_ms": round(1000 * min(taken["wall_s"] for taken in turns) / place.steps / EPOCHS, 3)}
        for name, turns in found.items()
    ]
    means = parts(
        record["speed"], sum(taken["wall_s"] for taken in found[OURS]) / len(found[OURS]) / place.steps / EPOCHS
    )
    return compared(
        [made | means if made["contender"] == OURS else made for made in rows], max(1, min(workers, devices))
    )


def figures(place: Place, taken: Mapping[str, float]) -> dict[str, float]:
    """Return a turn's figures: of a step wall and CPU milliseconds, the latter of all processes."""
    step, cpu = (1000 * taken[name] / place.steps / EPOCHS for name in ("wall_s", "cpu_s"))
    return {**taken, "examples_s": EPOCHS * place.rows / taken["wall_s"], "step_ms": step, "step_cpu_ms": cpu}


def parts(speed: Mapping[str, float], mean: float) -> Row:
    """Return what the chief's clock says of a step of ``mean`` seconds; the rest is between steps and epochs."""
    found = {f"{part}_ms": 1000 * speed[part] for part in ("input", "compute", "all_reduce")}
    found["rest_ms"] = 1000 * mean - sum(found.values())
    return {name: round(value, 3) for name, value in found.items()}


def compared(rows: Sequence[Row], devices: int) -> list[Row]:
    """Add to each row what a step takes beyond the bare one, and the efficiency: of so many times the lone process."""
    by_name = {made["contender"]: made for made in rows}
    alone, bare = by_name[SINGLE]["examples_s"], by_name[BARE]["step_ms"]
    return [
        made
        | {
            "overhead_ms": round(made["step_ms"] - bare / devices, 3),  # type: ignore[operator]  # they are numbers
            "efficiency": round(made["examples_s"] / (alone * devices), 3),  # type: ignore[operator]
        }
        for made in rows
    ]


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="benchmarks.training",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: make bench RACE=training OPTIONS='--case 2-workers --runs 3'",
    )
    p.add_argument("--case", choices=[*WORKERS, *OTHERS], action="append", help="default: each")
    p.add_argument("--runs", type=int, default=7, help=f"turns ({EPOCHS} epochs) that count; default 7")
    p.add_argument("--device", choices=["auto", "cpu", "gpu"], default="auto", help="default: what TensorFlow sees")
    p.add_argument("--batch", type=int, default=128, help="rows of a step over all workers; default 128")
    p.add_argument("--steps", type=int, default=50, help="of an epoch; default 50")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the race."""
    args = parser().parse_args(argv)
    devices = 0 if args.device == "cpu" else int(subprocess.check_output([sys.executable, "-c", DEVICES], text=True))
    if args.device == "gpu" and not devices:
        raise SystemExit("TensorFlow sees no GPU; install tensorflow[and-cuda] here and in .rivals/tf-keras")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that contenders and files go however the race ends
    with tempfile.TemporaryDirectory(prefix="colchis-race-") as directory:
        home, rows, epochs = Path(directory), args.steps * args.batch, (args.runs + 1) * EPOCHS + 1
        data = write_data(home / "data", shards=10, rows=rows // 10, eval_rows=args.batch)
        np.save(home / "order.npy", order_of(data, epochs))
        place = Place(home, data, rows, args.batch, epochs, "gpu" if devices else "cpu")
        found = [
            made
            for case in args.case or [*WORKERS, *OTHERS]
            for made in (race(place, case, devices) if case in WORKERS else OTHERS[case](place, args.runs))
        ]
    print(table(found))
    print(write("training", found), file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
