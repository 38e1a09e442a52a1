"""``colchis adopt``: a model that exists is judged, published and served, by the template ``colchis-adopt``.

It types what a person would: `colchis run colchis-adopt` with what is given, then a question to what is served.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from colchis_workflows._runs.curl import curl_line
from colchis_workflows._runs.printable import printable

TEMPLATE = "colchis-adopt"
OWN = ("data", "task", "classes", "output", "activation", "signature", "thresholds", "store", "target", "repository")
EXAMPLES = """\
examples:
  colchis adopt wines --from wines.keras --data "$DATA"       DATA: what `colchis data import` printed
  colchis adopt wines --from mlruns/1/models/m-1/artifacts    what MLflow or Hugging Face stored, with --data as above
  colchis adopt wines --from wines.onnx --unjudged --task classification --classes red,white,rosé
  colchis adopt wines --from saved_model --data "$DATA" --output logits --activation softmax
  colchis adopt wines --from saved_model --data "$DATA" --target deployment --store s3://bucket/prefix \\
    --repository registry.example/models

on a cluster, with a model that lies in the bucket:
  colchis submit colchis-adopt --set model=wines --set source=s3://bucket/prefix/incoming/wines --set data="$DATA"

exit codes: those of colchis run: 0 served, 3 the gate or the canary said no, 2 usage, else the failing step's
"""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="colchis adopt",
        description="Serve a model that exists: a SavedModel, a Keras file, ONNX, or a directory that holds one.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("model", metavar="MODEL", help="the name that it is served by")
    p.add_argument("--from", required=True, metavar="PATH", help="the model, or what holds it; a path, or s3://…")
    judged = p.add_mutually_exclusive_group(required=True)
    judged.add_argument("--data", metavar="URI", help="the data set that it is judged on, by the pipeline's gate")
    judged.add_argument("--unjudged", action="store_true", help="serve it without; its record says so")
    p.add_argument("--thresholds", metavar="JSON", help="the gate's, as in colchis run (default: by the task)")
    about = p.add_argument_group("what it is", "told by the data, by names and by shapes; where these leave it open:")
    about.add_argument("--task", choices=("classification", "multilabel", "regression"), help="with --unjudged")
    about.add_argument("--classes", metavar="NAMES", help="with --unjudged: the classes in their order, cat,dog")
    about.add_argument("--output", metavar="NAME", help="the output that is the task's answer")
    about.add_argument("--activation", choices=("none", "softmax", "sigmoid"), help="what makes probabilities of it")
    about.add_argument("--signature", metavar="NAME", help="of a SavedModel (default: serving_default)")
    where = p.add_argument_group("where", "as in colchis run")
    where.add_argument("--store", metavar="URL", help="default: the local one, below $COLCHIS_HOME or ./.colchis")
    where.add_argument("--target", metavar="NAME", help="where it is served (default: local)")
    where.add_argument("--repository", metavar="REF", help="where its image goes (default: a local layout)")
    where.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any argument of the template")
    where.add_argument("--run", metavar="ID", help="the run's id; an earlier one goes on (default: a new one)")
    where.add_argument("--home", type=Path, metavar="DIR", help="where runs are (default: $COLCHIS_HOME or .colchis)")
    return p


def arguments(args: argparse.Namespace) -> dict[str, str]:
    """Return the template's arguments that the command line sets; a path of this machine is absolute."""
    source = vars(args)["from"]
    found = {"model": args.model, "source": source if "://" in source else str(Path(source).absolute())}
    found |= {name: value for name in OWN if (value := getattr(args, name)) is not None}
    if args.unjudged:
        found |= {"data": "", "unjudged": "true"}
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the template; its exit code is the run's."""
    args = parser().parse_args(argv)
    began = time.monotonic()
    run = args.run or f"adopt-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    sets = [part for name, value in arguments(args).items() for part in ("--set", f"{name}={value}")]
    sets += [part for value in args.set for part in ("--set", value)]
    home = ["--home", str(args.home)] if args.home else []
    done = _colchis(["run", TEMPLATE, "--run", run, *sets, *home])
    print(printable(done.stdout), end="")
    outputs = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    if done.returncode or "endpoint" not in outputs:
        return done.returncode
    judged = "nobody has judged it" if args.unjudged else f"the gate says {outputs.get('verdict', 'pass')}"
    seconds = time.monotonic() - began
    print(f"\nServed {args.model} version {outputs.get('version', '?')} in {seconds:.0f} s; {judged}.\n")
    if instance := _instance(args):
        print(f"  ask it       {curl_line(outputs['endpoint'], json.loads(instance))}")
    print(f"  what it is   colchis explain {args.model}")
    if args.target in {None, "local"}:
        print("  stop         colchis models stop")
    return 0


def _instance(args: argparse.Namespace) -> str:
    """Return a row as JSON: the first of the test split, or of those that were kept; "" where there is none."""
    store = ["--store", args.store] if args.store else []
    environment = {**os.environ, "COLCHIS_HOME": str(args.home)} if args.home else None
    return _colchis(["predict", args.model, "--show-instance", *store], quiet=True, env=environment).stdout.strip()


def _colchis(words: Sequence[str], *, quiet: bool = False, **more: Any) -> "subprocess.CompletedProcess[str]":
    """Run ``colchis words…``; its output comes back, and ``quiet`` hides its logs."""
    command = [sys.executable, "-m", "colchis_workflows.cli", *words]
    stderr = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, stderr=stderr, **more)


if __name__ == "__main__":
    raise SystemExit(main())
