"""Race `upload`: a directory goes to a bucket on loopback.

Reads   $SIZE_MIB                       the size of ``big`` and ``resume``, or 1024; ``small`` has ten files a MiB
        $MINIO                          the program, for --server minio
Writes  benchmarks/results/upload.json  medians, and the table on stdout

Cases:  big     one file of the size
        small   ten files of 4 KiB for each MiB of the size: about 10,000
        resume  the client is killed (SIGKILL) when half has left it; measured is the run after that, and ``bytes`` is
                what that one sent

A contender is a process; what it stored is read back and compared before its figures count. ``server_cpu_s`` is what
the server spent meanwhile. ``best`` is our wall time over the fastest rival's.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks._bucket import BUCKET, Counter, clear, serving, stored
from benchmarks._rivals import cpu_of, in_turn, measured
from benchmarks._table import Row, table, write
from benchmarks._upload_rivals import CONTENDERS

CASES = ("big", "small", "resume")
OURS = "colchis"
FILES_A_MIB = 10  # near enough: 1024 MiB stand for 10,240 files
number = count()


def write_files(directory: Path, case: str, mib: int) -> None:
    """Write what the case sends: random bytes, and a graph, which makes it a model."""
    directory.mkdir()
    (directory / "saved_model.pb").write_bytes(b"graph")
    if case == "small":
        for name in range(mib * FILES_A_MIB):
            (directory / f"{name:05}").write_bytes(random.randbytes(4096))  # noqa: S311
        return
    with (directory / "weights").open("wb") as file:
        for _ in range(mib):
            file.write(random.randbytes(1 << 20))  # noqa: S311


def digests(directory: Path) -> dict[str, str]:
    import hashlib

    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.iterdir()}


def check(prefix: str, wanted: Mapping[str, str]) -> None:
    """Refuse a run that did not store every file with its bytes."""
    lacks = set(wanted.values()) - set(stored(prefix))
    if lacks:
        raise SystemExit(f"{prefix} lacks {len(lacks)} of {len(wanted)} files")


def killed_at_half(command: Sequence[str | Path], through: Counter, size: int) -> None:
    """Start the command and kill it when half of the bytes have gone through."""
    with subprocess.Popen(
        [str(word) for word in command],
        env=os.environ | {"AWS_ENDPOINT_URL": through.url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        while through.sent < size / 2:
            if child.poll() is not None:
                raise SystemExit(f"{command[0]} ended before it was killed")
            time.sleep(0.002)
        child.kill()


def contender(name: str, case: str, directory: Path, server: int) -> Callable[[], Mapping[str, float | None]]:
    """Return what runs the contender once."""
    wanted, size = digests(directory), sum(path.stat().st_size for path in directory.iterdir())
    port = urlsplit(os.environ["AWS_ENDPOINT_URL"]).port or 0

    def once() -> Mapping[str, float | None]:
        prefix, direct, sent = f"{name}-{next(number)}", os.environ["AWS_ENDPOINT_URL"], float(size)
        try:
            if case == "resume":
                through = Counter(port)
                os.environ["AWS_ENDPOINT_URL"] = through.url
                command = CONTENDERS[name](directory, BUCKET, prefix)
                killed_at_half(command, through, size)
                before, spent = through.sent, cpu_of(server)
                figures = measured(command)
                through.close()
                sent = float(through.sent - before)
            else:
                command, spent = CONTENDERS[name](directory, BUCKET, prefix), cpu_of(server)
                figures = measured(command)
            figures["server_cpu_s"] = cpu_of(server) - spent
        finally:
            os.environ["AWS_ENDPOINT_URL"] = direct
        check(prefix, wanted)
        clear(prefix)
        return figures | {"bytes": sent, "share": sent / size}

    return once


def with_best(rows: Sequence[Row]) -> list[Row]:
    """Add to our row its wall time over that of the fastest rival."""
    walls = {str(made["contender"]): float(made["wall_s"] or 0) for made in rows}
    best = min((wall for name, wall in walls.items() if name != OURS), default=0.0)
    return [
        made | {"best": round(walls[OURS] / best, 3)} if made["contender"] == OURS and best else made for made in rows
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Race, print the table, write the file."""
    p = argparse.ArgumentParser(prog="benchmarks.upload", description=(__doc__ or "").partition("\n")[0])
    p.add_argument("--case", action="append", choices=CASES, help="default: all")
    p.add_argument("--contender", action="append", choices=list(CONTENDERS), help="default: all")
    p.add_argument("--runs", type=int, default=5, metavar="N")
    p.add_argument("--server", choices=["versitygw", "minio"], default="versitygw")
    args = p.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that server and files go however the race ends
    mib, rows = int(os.environ.get("SIZE_MIB", "1024")), list[Row]()
    with tempfile.TemporaryDirectory() as scratch, serving(args.server, Path(scratch, "data")) as server:
        for case in args.case or CASES:
            directory = Path(scratch, case)
            write_files(directory, case, mib)
            names = args.contender or list(CONTENDERS)
            made = in_turn(case, {n: contender(n, case, directory, server) for n in names}, runs=args.runs)
            rows += [row | {"server": args.server, "mib": mib} for row in with_best(made)]
    path = write("upload", rows)
    print(table(rows))
    print(f"\n{path}", file=sys.stderr)


if __name__ == "__main__":
    main()
