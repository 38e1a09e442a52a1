"""Race `data`: a table of twenty columns is validated, imported, and read for training.

Reads   $SIZE_MIB                     of the table as zstd Parquet, 256 without it
Writes  benchmarks/results/data.json  medians, and the table on stdout

`validate` is one pass over Parquet left in place: all rules, profiles, duplicates, leaks. `one-group` is the same where
each part is one row group. `import` makes a data set of a CSV of the size. `input` reads one shuffled epoch.
``cpu_s_gb`` is CPU seconds for 10⁹ bytes of what was read.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks._data_input import READERS
from benchmarks._data_rows import write_csv, write_data_set
from benchmarks._rivals import environment, in_turn, measured
from benchmarks._table import Row, table, with_ratio, write

CASES = ("validate", "one-group", "import", "input")
OURS = "colchis"
ROOT = Path(__file__).parents[1]
RIVALS = Path(__file__).with_name("rivals")
CONTENDERS = {
    "validate": (OURS, "duckdb", "pandera-polars", "evidently"),
    "one-group": (OURS, "duckdb"),
    "import": (OURS, "duckdb"),
    "input": (OURS, *READERS),
}
Sample = Mapping[str, float | None]


def ours(case: str, source: Path, scratch: Path) -> list[str]:
    """Return our command line."""
    if case == "import":
        step = ["import_data", "race", f"--from={source}", "--label=label", "--time=seen", "--split-by=hash"]
        return [sys.executable, "-m", f"colchis_steps.{step[0]}", *step[1:], f"--to={scratch.as_uri()}"]
    store = f"--store={(scratch / 'store').as_uri()}"
    return [sys.executable, "-m", "colchis_steps.validate_data", store, "--run=race", f"--data={source.as_uri()}"]


def contender(case: str, name: str, source: Path, scratch: Path) -> Callable[[], Sample]:
    """Return what runs a contender once, as a whole process."""
    size = sum(path.stat().st_size for path in ([source] if source.is_file() else source.glob("*.parquet")))

    def run() -> Sample:
        place = scratch / "made"
        place.mkdir()
        try:
            if name == OURS:
                command = ours(case, source, place)
            else:
                script = RIVALS / f"data_{name.replace('-', '_')}.py"
                command = [str(environment(name)), str(script), case, str(source), str(place)]
            sample = measured(command)
        finally:
            shutil.rmtree(place)
        return sample | {"cpu_s_gb": sample["cpu_s"] / size * 1e9}

    return run


def reader(name: str, directory: Path) -> Callable[[], Sample]:
    """Return what reads one epoch; the process tells of the reading alone, without the start of its libraries."""

    def run() -> Sample:
        command = [sys.executable, "-m", "benchmarks._data_input", name, str(directory)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


def race(case: str, names: Sequence[str], mib: int, scratch: Path, *, runs: int) -> list[Row]:
    """Run the contenders of a case in turn; give the medians of each."""
    place = scratch / case
    if case == "input":
        from benchmarks._data_input import prepare

        prepare(place, mib)
        return in_turn(case, {name: reader(name, place) for name in names}, runs=runs)
    if case == "import":
        place.mkdir()
        place /= "rows.csv"
        write_csv(place, mib)
    else:
        write_data_set(place, mib, one_group=case == "one-group")
    return in_turn(case, {name: contender(case, name, place, scratch) for name in names}, runs=runs)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="benchmarks.data",
        description=__doc__.partition("\n")[0],
        epilog="example: SIZE_MIB=64 make bench RACE=data OPTIONS='--case validate --contender colchis --runs 1'",
    )
    known = sorted({name for names in CONTENDERS.values() for name in names})
    p.add_argument("--case", choices=CASES, action="append", help="default: each")
    p.add_argument("--contender", choices=known, action="append", help="default: each of the case")
    p.add_argument("--runs", type=int, default=3, help="of each contender; default 3")
    p.add_argument("--directory", type=Path, help="where tables and copies go; default: $TMPDIR")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the race."""
    args = parser().parse_args(argv)
    size = os.environ.get("SIZE_MIB", "256")
    if not size.isdecimal() or not int(size) or args.runs < 1:
        parser().error(f"SIZE_MIB is {size!r} and --runs {args.runs}; give whole numbers of at least 1")
    rows: list[Row] = []
    for case in args.case or CASES:
        names = [name for name in CONTENDERS[case] if name in (args.contender or CONTENDERS[case])]
        with tempfile.TemporaryDirectory(dir=args.directory) as scratch:
            raced = race(case, names, int(size), Path(scratch), runs=args.runs)
        rows += with_ratio([made | {"size_mib": int(size)} for made in raced], OURS)
    print(table(rows))
    print(write("data", rows), file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
