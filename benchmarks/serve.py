"""Race `serve`: predictions a second and time of a lone one over HTTP and gRPC on loopback, and how long loading takes.

Reads   benchmarks/rivals/<name>.txt, <name>_server.py   an environment and a server of each rival
Needs   wrk and h2load (Debian packages wrk, nghttp2-client), which ask from processes of their own
Writes  benchmarks/results/serve.json                    medians, and the table on stdout

The floor ``in-process`` calls the model with rows that are arrays already: no JSON, no HTTP. Of gRPC ``bare-grpc`` is
what grpc's own server can do where nothing is behind it.
"""

import argparse
import functools
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks._rivals import in_turn
from benchmarks._serve_contenders import BARE, OURS, RIVALS, asked_by_grpc, check, serving
from benchmarks._serve_load import by_grpc, by_http, in_process, used
from benchmarks._serve_loading import LOADED, loading
from benchmarks._serve_models import onnx_model, saved_model
from benchmarks._table import Row, table, with_ratio, write

FLOOR = "in-process"
WITH_GRPC = (OURS, "kserve", "mlserver", BARE)
MODELS = {"savedmodel": saved_model, "onnx": onnx_model}


class Case(NamedTuple):
    """What is asked: a model of this format, over connections that each have one request under way."""

    model: str
    connections: int
    grpc: bool = False


CASES = {
    "lone": Case("savedmodel", 1),
    "batch": Case("savedmodel", 32),
    "onnx-lone": Case("onnx", 1),
    "onnx-batch": Case("onnx", 32),
    "grpc-lone": Case("onnx", 1, grpc=True),
    "grpc-batch": Case("onnx", 32, grpc=True),
}


def race(names: Sequence[str], cases: Sequence[str], *, runs: int, seconds: int) -> list[Row]:
    """Run the contenders in turn; give the medians of each."""
    made: list[Row] = []
    for kind, write_model in MODELS.items():
        its = [case for case in cases if case in CASES and CASES[case].model == kind]
        if not its:
            continue
        with tempfile.TemporaryDirectory(prefix="colchis-") as directory:
            top = Path(directory)
            call, rows = write_model(top / "model")
            bare = [BARE] if any(CASES[case].grpc for case in its) else []
            with serving([*names, *bare], top / "model", top) as servers:
                rest = dict[str, float]()
                for name, server in servers.items():
                    if name == BARE:
                        continue
                    check(name, server, rows, call(rows))
                    rest[name] = round(used(server.process.pid)[1], 1)
                    print(f"{name} answers as the model does, with {rest[name]} MiB", file=sys.stderr)
                for name in servers.keys() & set(WITH_GRPC) - {BARE} if bare else ():
                    if abs(asked_by_grpc(servers[name], rows)[0] - call(rows)).max() > 1e-4:
                        raise SystemExit(f"{name} answers other than the model does over gRPC")
                for case in its:
                    _, count, grpc = CASES[case]
                    contenders: dict[str, Callable[[], Mapping[str, float | None]]] = {
                        name: functools.partial(by_grpc if grpc else by_http, server, count, seconds, rows[0], top)
                        for name, server in servers.items()
                        if (name in WITH_GRPC if grpc else name != BARE)
                    }
                    contenders[FLOOR] = functools.partial(in_process, call, rows[:count], seconds)
                    found = with_ratio(in_turn(case, contenders, runs=runs), FLOOR)
                    made += [row | {"rest_mib": rest.get(str(row["contender"]))} for row in found]
    return made + [row for case in cases if case in LOADED for row in loading(case, runs)]


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="benchmarks.serve",
        description=__doc__.partition("\n")[0],
        epilog="example: make bench RACE=serve OPTIONS='--contender colchis --case lone --runs 3'",
    )
    p.add_argument("--case", choices=[*CASES, *LOADED], action="append", help="default: each")
    p.add_argument("--contender", choices=[OURS, *RIVALS], action="append", help="default: each; the floor runs always")
    p.add_argument("--runs", type=int, default=5, help="of each contender; default 5")
    p.add_argument("--seconds", type=int, default=2, help="of a run; default 2")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the race."""
    args = parser().parse_args(argv)
    if args.runs < 1 or args.seconds < 1:
        parser().error(f"--runs is {args.runs} and --seconds {args.seconds}; both take 1 at least")
    for program, package in {"wrk": "wrk", "h2load": "nghttp2-client"}.items():
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is absent; install it with: apt-get install {package}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end however the race ends
    cases = args.case or [*CASES, *LOADED]
    rows = race(args.contender or [OURS, *RIVALS], cases, runs=args.runs, seconds=args.seconds)
    print(table(rows))
    if not args.contender:
        print(write("serve", rows), file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
