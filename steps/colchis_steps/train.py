"""Train a model with N workers and store it as a candidate.

Reads   --data, the user's code (--code), and what workers tell below runs/<run>/training/, from an earlier try too
Writes  runs/<run>/training/train.json, and runs/<run>/candidate/model.json last; --tree-path gets the model's digest;
        the workers write the rest, the model's blobs among it
"""

import argparse
import contextlib
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from colchis_steps._data.dataset import DataSet, open_data
from colchis_steps._formats.documents import canonical_digest, encode, now
from colchis_steps._formats.hyperparameters import Settings, settings
from colchis_steps._formats.keys import candidate_key, training_result_key
from colchis_steps._formats.models import Candidate, Code
from colchis_steps._formats.runs import Epoch, KeptJob, TrainingReport
from colchis_steps._formats.training import Result
from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests.job_options import ALLOWED, job_options
from colchis_steps._manifests.training import KINDS, Training
from colchis_steps._manifests.training_beside import beside
from colchis_steps._manifests.training_jobs import job as job_of
from colchis_steps._models.candidates import find_candidate
from colchis_steps._step.child import PREFIX, words_of
from colchis_steps._step.errors import InputError, StepError, TransientError
from colchis_steps._step.flags import model_name, positive, prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._step.progress import progress
from colchis_steps._step.text import printable
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import Recorder, find_step, recorded
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import portable
from colchis_steps._tensors.formats import format_of
from colchis_steps._training.backends.epochs import StoredEpochs
from colchis_steps._training.backends.job import ROLE, Watch, run_job
from colchis_steps._training.backends.local import Job, run_workers
from colchis_steps._training.backends.workplace import workplace
from colchis_steps._training.files import find_history, find_result, noted_epochs

log = logging.getLogger("colchis")


def fingerprint(data_digest: str, code: Code, chosen: Settings) -> str:
    """Return the digest of what a training depends on; a checkpoint fits where it is the same."""
    return canonical_digest(
        {"data": data_digest, "entry": code.entry, "code": code.digest, "hyperparameters": dict(chosen.all)}
    )


@contextlib.contextmanager
def followed(count: Callable[[], int], epochs: int) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """Return what to call at each poll and for each line of the log: they report to the engine and the terminal."""
    reported = -1

    def counted() -> int:
        nonlocal reported
        if (done := count()) != reported:
            reported = done
            progress(done, epochs)
        return done

    if not sys.stderr.isatty():
        yield lambda: (counted(), None)[1], lambda line: print(printable(line), file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("epochs", total=epochs)
        say = functools.partial(bar.console.print, markup=False)
        yield lambda: bar.update(task, completed=counted()), lambda line: say(printable(line))


def train(args: argparse.Namespace, store: Objects, recorder: Recorder, workdir: Path, lock: int) -> Candidate:
    """Run the workers where that is still to do, then store what the chief exported."""
    chosen, data = settings(args.hyperparameters), open_data(args.data)
    check_trainable(chosen, data, args.workers, args.entry)
    code = code_of(args)
    key = fingerprint(data.manifest.digest, code, chosen)
    result = find_result(store, args.run, key)
    if result is None:
        try:
            run(args, store, key, chosen, workdir=workdir, lock=lock)
        finally:
            with contextlib.suppress(StepError):  # a failure of its own is the one to tell
                result = find_result(store, args.run, key)
                epochs = result.history if result else find_history(store, args.run, key)
                recorder.details = report(args, chosen, result, epochs)
    if result is None:
        where = f"{store.url}/{training_result_key(args.run)}"
        raise TransientError(f"the chief ended without a result in {where}; run it again")
    recorder.details = report(args, chosen, result, result.history, kept(args, key))
    return Candidate(
        run=args.run,
        model=args.model,
        files=result.files,
        tree=result.tree,
        data=args.data,
        data_digest=data.manifest.digest,
        code=code,
        hyperparameters=dict(chosen.all),
        signature=result.signature,
        frameworks=result.frameworks,
        created_at=now(),
        beside=True,
        format=format_of([file.path for file in result.files], f"run {args.run}"),
    )


def run(args: argparse.Namespace, store: Objects, key: str, chosen: Settings, *, workdir: Path, lock: int) -> None:
    """Run the workers on the back-end that was asked for."""
    if args.backend == "local":
        log.info("starting %d workers; their logs are %s/worker-*.log", args.workers, workdir)
        job = Job(store, args.run, worker_flags(args, key), workdir, args.workers, args.silence_seconds, [lock])
        with followed(lambda: noted_epochs(workdir), chosen.epochs) as (on_poll, on_line):
            run_workers(job, on_poll, on_line)
    else:
        cluster, stored = Cluster(args.namespace, ROLE), StoredEpochs(store, args.run, key)
        with followed(stored.count, chosen.epochs) as (on_poll, on_line):
            run_job(cluster, store, training(args, key), Watch(on_poll, on_line, key))


def training(args: argparse.Namespace, key: str) -> Training:
    """Return the training as a job of the cluster.

    Raises:
        InputError: no image is named, the options are wrong, or pods cannot reach the store.
    """
    for name in ("store", "data", "code"):
        if getattr(args, name).startswith("file:"):
            raise InputError(f"--{name} is {getattr(args, name)}, which pods cannot reach; give one of s3://bucket")
    if not args.train_image:
        raise InputError(f"--backend={args.backend} runs pods; give their image as --train-image=REGISTRY/train:TAG")
    allowed = os.environ.get(ALLOWED, "{}") if "COLCHIS_POD" in os.environ else None
    options = job_options(args.job_options, allowed)
    flags = worker_flags(args, key)
    return Training(args.backend, args.run, args.model, args.workers, args.train_image, flags, options)


def kept(args: argparse.Namespace, key: str) -> KeptJob | None:
    """Return the job that trained, where it stays after its end: ``register`` writes on it what it made."""
    if args.backend == "local" or not (asked := training(args, key)).options.keep:
        return None
    try:
        cluster = Cluster(args.namespace, ROLE)
        found = cluster.get(asked.kind, asked.name)
    except StepError as error:
        log.warning("%s %s will not say which model it made: %s", asked.kind, asked.name, error)
        return None
    return KeptJob(asked.kind, asked.name, cluster.namespace, found["metadata"]["uid"]) if found else None


def render(args: argparse.Namespace) -> None:
    """Print what a back-end would run, as YAML.

    Raises:
        InputError: the back-end has nothing to print.
    """
    import yaml

    if args.backend == "local":
        raise InputError("--backend=local starts processes; name another back-end with --render")
    chosen, data = settings(args.hyperparameters), open_data(args.data)
    check_trainable(chosen, data, args.workers, args.entry)
    found = training(args, fingerprint(data.manifest.digest, code_of(args), chosen))
    print(yaml.safe_dump_all([*beside(found), job_of(found)], sort_keys=False, width=110), end="")


def code_of(args: argparse.Namespace) -> Code:
    """Return what identifies the user's code: its URI has the digest, and the end of the zip what git knows of it."""
    if not args.code:
        return Code(entry=args.entry)
    from colchis_steps._content.code import describe_code

    return Code(entry=args.entry, uri=args.code, **describe_code(args.code)._asdict())


def worker_flags(args: argparse.Namespace, key: str) -> list[str]:
    """Return the worker's flags, the same on every back-end but for --workdir."""
    flags = [f"--{name}={getattr(args, name)}" for name in ("store", "run", "model", "data", "entry", "code")]
    return [*flags, f"--hyperparameters={args.hyperparameters}", f"--fingerprint={key}"]


def check_trainable(chosen: Settings, data: DataSet, workers: int, entry: str = "") -> None:
    """Refuse what no worker could train, before any starts.

    Raises:
        InputError: a split is absent or empty, the label has too few classes, or a worker would have no row of a batch;
            for ``command:`` entries, the command is malformed: nothing else is checked.
    """
    if entry.startswith(PREFIX):
        words_of(entry)
        return
    for split in ("train", "eval"):
        data.shards(split)
    kind, classes = data.task.kind, len(data.classes)
    if (kind == "classification" and classes < 2) or not data.features:
        raise InputError(f"{data.uri} has {classes} classes and {len(data.features)} features; give both")
    if chosen.class_weight and kind != "classification":
        raise InputError(
            f"class_weight is {chosen.class_weight}, and the task of {data.uri} is {kind}, in which a row has not one "
            "class; leave class_weight out"
        )
    if chosen.global_batch < workers:
        raise InputError(f"global_batch is {chosen.global_batch}, too few for {workers} workers; raise it")


def report(
    args: argparse.Namespace,
    chosen: Settings,
    found: Result | None,
    epochs: Sequence[Epoch],
    job: KeptJob | None = None,
) -> TrainingReport:
    """Record a training, ended or not."""
    return TrainingReport(
        backend=args.backend,
        workers=args.workers,
        global_batch=chosen.global_batch,
        parameters=found.parameters if found else 0,
        examples_per_second=found.speed.examples_per_second if found and found.speed else 0.0,
        resumed_from_epoch=found.resumed_from_epoch if found else 0,
        history=tuple(epochs),
        resumed_from_step=found.resumed_from_step if found else 0,
        speed=found.speed if found else None,
        job=job,
    )


def parser() -> argparse.ArgumentParser:
    """Describe the command line; docs and contract tests read it too."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.train"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.train --store file:///tmp/store --run demo --model digits "
        "--data file:///tmp/store/data/digits/0123456789abcdef --workers 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, type=model_name, metavar="NAME", help="the model's name")
    p.add_argument("--data", required=True, metavar="URI", help="the data set's directory in a store")
    p.add_argument(
        "--entry", default="colchis_steps.classifier:build", metavar="MODULE:FUNCTION", help="builds the model"
    )
    p.add_argument("--code", default="", metavar="URI", help="the user's code, as push_code stored it")
    p.add_argument(
        "--hyperparameters", default="{}", metavar="JSON", help="epochs, global_batch, seed, and the entry's"
    )
    p.add_argument("--backend", choices=("local", *KINDS), default="local", help="what runs the workers")
    p.add_argument("--workers", type=positive, default=1, metavar="N", help="how many workers share each global batch")
    p.add_argument(
        "--workdir", type=Path, metavar="DIR", help="holds the workers' logs, code and files that are not whole yet"
    )
    p.add_argument("--silence-seconds", type=float, default=60.0, metavar="S", help="a worker silent so long is lost")
    job = p.add_argument_group("other back-ends than local", "the cluster is $KUBECONFIG's, or the pod's own")
    job.add_argument("--namespace", default="", metavar="NAME", help="default: the context's, or the pod's own")
    job.add_argument("--train-image", default="", metavar="REF", help="the workers' image")
    job.add_argument("--job-options", default="{}", metavar="JSON", help="cpu, memory, gpus, queue, spot, and others")
    job.add_argument("--render", action="store_true", help="print what would run as YAML, and run nothing")
    p.add_argument("--tree-path", type=Path, metavar="PATH", help="where to write the model's digest")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Train, and store the candidate; do nothing where this run has one."""
    args = parser().parse_args(argv)
    if args.render:
        render(args)
        return
    store, key = open_store(args.store), candidate_key(args.run)
    candidate, before = find_candidate(store, args.run), find_step(store, args.run, "train")
    if candidate and before and before.status == "succeeded":
        log.info("run %s has its model already, %s; nothing to do", args.run, candidate.tree)
        write_output(args.tree_path, candidate.tree)
        return
    with recorded(store, args.run, "train", vars(args)) as recorder:
        with workplace(args.workdir, args.run) as (workdir, lock):
            candidate = portable(store, train(args, store, recorder, workdir, lock))
            store.write(key, encode(candidate))
        recorder.outputs = {"tree": candidate.tree}
    write_output(args.tree_path, candidate.tree)
    log.info("run %s has a model: %s", args.run, candidate.tree)


if __name__ == "__main__":
    raise SystemExit(main())
