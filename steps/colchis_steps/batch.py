"""Predict every row of a data set, or of Parquet files, with a published version; no server is asked.

Reads   --from                                  a data set, or a directory or file of Parquet
        models/<model>/aliases/stable.json      which version; --version in its place; its files, verified
Writes  <to>/part-00000.parquet, …              a part for each of the input: the keys and the predictions
        <to>/_plan.json, _parts/<n>.json        what is to be done, and which part is whole
        <to>/_manifest.json                     last: every part, verified, with each row once
Prints  the place of the predictions

Whatever ends it, the same again goes on with the parts that are missing.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from colchis_steps._batch.finishing import finish
from colchis_steps._batch.job import ROLE, run_job
from colchis_steps._batch.place import find_plan
from colchis_steps._batch.planning import place_of, plan_at, planned
from colchis_steps._batch.processes import INDEX, in_processes, index_of
from colchis_steps._batch.version import choose
from colchis_steps._batch.working import is_there, work
from colchis_steps._formats.batch import Batch, Plan
from colchis_steps._formats.documents import canonical_digest
from colchis_steps._formats.keys import batch_prefix
from colchis_steps._kube.cluster import Cluster
from colchis_steps._kube.workflow import POD
from colchis_steps._manifests.batch_jobs import BatchJob
from colchis_steps._manifests.job_options import ALLOWED, job_options
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import model_name, operations, positive, prog, run_id
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import recorded
from colchis_steps._store.opening import open_store

PARTS = ("plan", "job", "work", "finish")  # job makes pods that work; finish predicts what is left, and verifies all
IMAGE = "COLCHIS_BATCH_IMAGE"  # the pods'
log = logging.getLogger("colchis")


def names(text: str) -> tuple[str, ...]:
    """Parse names between commas; an empty text is none."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def mine(plan: Plan, index: int, workers: int) -> range:
    """Return the numbers of the parts that one of the workers predicts."""
    return range(index, len(plan.inputs), workers)


def parser() -> argparse.ArgumentParser:
    """Describe the command line; docs and contract tests read it too."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.batch"),
        description=__doc__.partition("\n")[0],
        epilog="example: python -m colchis_steps.batch digits --from rows/ --to predictions/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("named", nargs="?", type=model_name, metavar="MODEL")
    p.add_argument("--model", type=model_name, metavar="NAME", help="the same, as templates say it")
    p.add_argument(
        "--from", dest="source", required=True, metavar="URI", help="a data set, or a directory or file of Parquet"
    )
    p.add_argument("--to", default="", metavar="URI", help="where to; default: in the store, by version and data")
    p.add_argument(
        "--store", default="", metavar="URL", help="default: the local one, below $COLCHIS_HOME or ./.colchis"
    )
    p.add_argument(
        "--version", default="stable", metavar="N", help="a number, or an alias: stable (default), canary, latest"
    )
    p.add_argument("--split", type=names, default=(), metavar="NAMES", help="of a data set, such as test; default: all")
    p.add_argument(
        "--key",
        type=names,
        default=(),
        metavar="COLUMNS",
        help="columns that stand beside the predictions; default: a data set's keys, else each row's number",
    )
    p.add_argument("--workers", type=positive, default=1, metavar="N", help="processes, or pods (default: %(default)s)")
    p.add_argument("--part", choices=PARTS, help=f"do one part alone; work is the share of ${INDEX} (default: all)")
    p.add_argument(
        "--allow-operations", type=operations, default=(), metavar="NAMES", help="TensorFlow's, that may reach out"
    )
    p.add_argument("--run", type=run_id, metavar="ID", help="the run that keeps a record of it")
    p.add_argument("--job-options", default="{}", metavar="JSON", help="with --part=job: cpu, memory, queue, …")
    p.add_argument("--predictions-path", type=Path, metavar="PATH", help="where to write the predictions' place")
    p.add_argument("--rows-path", type=Path, metavar="PATH", help="where to write how many rows were predicted")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Plan, predict and verify, or do one part of it."""
    p = parser()
    args = p.parse_args(argv)
    args.model = args.model or args.named
    if not args.model:
        p.error("name the model")
    if args.part in {"job", "work", "finish"} and not args.to:
        p.error(f"--part={args.part} needs --to=URI, which --part=plan prints")
    if args.part == "job":
        run_job(Cluster(role=ROLE), asked(args))
        return
    store = open_store(args.store or default_store())
    if args.part == "work":
        plan = plan_there(to := open_store(place_of(args.to)))
        work(store, to, plan, mine(plan, index_of(args.workers), args.workers), args.allow_operations)
        return
    outputs = {"predictions": begin(args, store).url} if args.part == "plan" else finished(args, store)
    for name, value in outputs.items():
        write_output(vars(args)[f"{name}_path"], value)
    sys.stdout.write(f"{outputs['predictions']}\n")


def finished(args: argparse.Namespace, store: Objects) -> dict[str, str]:
    """Do all that is left; return the outputs. A run keeps a record of it."""
    with ExitStack() as stack:
        recorder = stack.enter_context(recorded(store, args.run, "batch", vars(args))) if args.run else None
        to = open_store(place_of(args.to)) if args.part == "finish" else begin(args, store)
        found = complete(args, store, to, plan_there(to))
        outputs = {"predictions": to.url, "rows": str(found.rows)}
        if recorder:
            recorder.outputs, recorder.message = outputs, sentence(found)
    log.info("%s", sentence(found))
    return outputs


def begin(args: argparse.Namespace, store: Objects) -> Objects:
    """Plan, or find the plan that is there; return where the predictions go."""
    chosen = choose(store, args.model, args.version)
    wanted = planned(chosen, place_of(args.source), args.split, args.key)
    digest = canonical_digest([wanted.tree, wanted.keys, [one.shard.sha256 for one in wanted.inputs]])
    at = f"{store.url.rstrip('/')}/{batch_prefix(wanted.model, wanted.version, digest)}"
    to = open_store(place_of(args.to) if args.to else at)
    plan = plan_at(to, wanted)
    log.info("%s version %d, %d parts, to %s", plan.model, plan.version, len(plan.inputs), to.url)
    return to


def complete(args: argparse.Namespace, store: Objects, to: Objects, plan: Plan) -> Batch:
    """Predict the parts that are missing, verify all and write the manifest."""
    workers = min(args.workers, len(plan.inputs))
    if workers == 1:
        work(store, to, plan, range(len(plan.inputs)), args.allow_operations)
    elif not all(is_there(to, plan, number) for number in range(len(plan.inputs))):
        in_processes(flags(args, workers, store=store.url, to=to.url), workers)
    return finish(to, plan)


def flags(args: argparse.Namespace, workers: int, *, store: str, to: str) -> list[str]:
    """Return the flags by which a process, or a pod, predicts its share."""
    given = {"model": args.model, "from": args.source, "to": to, "store": store}
    given |= {"allow-operations": ",".join(args.allow_operations), "part": "work", "workers": str(workers)}
    return [f"--{name}={value}" for name, value in given.items()]


def asked(args: argparse.Namespace) -> BatchJob:
    """Return the job that predicts on a cluster.

    Raises:
        InputError: no image is named, the options are wrong, or pods cannot reach the store.
    """
    for name, value in (("store", args.store), ("to", args.to), ("from", args.source)):
        if "://" not in value or value.startswith("file:"):
            raise InputError(f"--{name} is {value!r}, which pods cannot reach; give one of s3://bucket")
    if not (image := os.environ.get(IMAGE, "")):
        raise InputError(f"${IMAGE} names no image for the pods; the template colchis-batch sets it")
    options = job_options(args.job_options, os.environ.get(ALLOWED, "{}") if POD in os.environ else None)
    own = flags(args, args.workers, store=args.store, to=args.to)
    return BatchJob(args.run or args.to, args.model, args.workers, image, own, options)


def plan_there(to: Objects) -> Plan:
    """Return the plan at the place. Raises InputError where there is none."""
    if (found := find_plan(to)) is None:
        raise InputError(f"{to.url} has no plan; run this with --part=plan first")
    return found


def sentence(found: Batch) -> str:
    """Say what was predicted."""
    odd = sum(part.not_finite for part in found.parts)
    more = f"; {odd} rows have numbers that are not finite" if odd else ""
    return f"{found.model} version {found.version} predicted {found.rows} rows in {len(found.parts)} parts{more}"


if __name__ == "__main__":
    raise SystemExit(main())
