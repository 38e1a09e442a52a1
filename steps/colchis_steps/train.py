"""Train a model with N workers and store it as a candidate.

Reads   --data, the user's code (--code), checkpoints that an earlier try of this run left in --workdir
Writes  blobs/sha256/…, runs/<run>/train.json, and runs/<run>/model.json last; --tree-path gets the model's digest
"""

import argparse
import contextlib
import fcntl
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from colchis_steps._blobs import scan, store_files
from colchis_steps._data import DataSet, open_data
from colchis_steps._formats import Candidate, Code, StepResult, canonical_digest, decode, encode, now, tree_digest
from colchis_steps._reports import Epoch, TrainingReport
from colchis_steps._step import InputError, TransientError, entrypoint, positive, progress, run_flags, write_output
from colchis_steps._store import Recorder, Store, find_document, open_store, recorded
from colchis_steps._training_entry import Settings, settings
from colchis_steps._training_files import History, Result
from colchis_steps._training_local import Job, run_workers

LOCKED_SECONDS = 20.0  # workers whose train was killed end in less
log = logging.getLogger("colchis")


def fingerprint(data_digest: str, code: Code, chosen: Settings) -> str:
    """Give the digest of what a training depends on; a checkpoint fits where it is the same."""
    return canonical_digest(
        {"data": data_digest, "entry": code.entry, "code": code.digest, "hyperparameters": dict(chosen.all)}
    )


@contextlib.contextmanager
def workplace(given: Path | None, run: str) -> Iterator[tuple[Path, int]]:
    """Give the working directory and its lock, which the workers keep; drop a default one when all went well.

    Raises:
        InputError: it is not ours, or not writable.
        TransientError: another training uses it.
    """
    path = given or Path(tempfile.gettempdir(), f"colchis-{os.getuid()}-{run}")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_uid != os.getuid():
            raise InputError(f"the working directory {path} is another user's; give one of your own as --workdir")
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InputError(f"the working directory {path} cannot be used ({error}); give another --workdir") from error
    try:
        deadline = time.monotonic() + LOCKED_SECONDS
        while not _locked(lock):
            if time.monotonic() > deadline:
                raise TransientError(f"another training uses {path}; wait for it, or give another --workdir")
            time.sleep(0.1)
        yield path, lock
        if given is None:
            shutil.rmtree(path)
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def followed(workdir: Path, epochs: int) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """Give what to call at each poll and for each line of the log: they tell the engine and the terminal."""
    told = -1

    def count() -> int:
        nonlocal told
        if (done := len(_history(workdir))) != told:
            told = done
            progress(done, epochs)
        return done

    if not sys.stderr.isatty():
        yield lambda: (count(), None)[1], lambda line: print(line, file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("epochs", total=epochs)
        yield lambda: bar.update(task, completed=count()), lambda line: bar.console.print(line, markup=False)


def train(args: argparse.Namespace, store: Store, recorder: Recorder, workdir: Path, lock: int) -> Candidate:
    """Run the workers where that is still to do, then store what the chief exported."""
    chosen, data = settings(args.hyperparameters), open_data(args.data)
    check(chosen, data, args.workers)
    path, code = None, Code(entry=args.entry)
    if args.code:
        from colchis_steps._code import unpack_code

        path = workdir / "code"
        shutil.rmtree(path, ignore_errors=True)
        digest, revision = unpack_code(args.code, path)
        code = Code(entry=args.entry, uri=args.code, digest=digest, revision=revision)
    key = fingerprint(data.manifest.digest, code, chosen)
    result = _result(workdir)
    if result is None or result.fingerprint != key:
        for name in ("result.json", "history.json"):
            (workdir / name).unlink(missing_ok=True)
        flags = [f"--run={args.run}", f"--data={args.data}", f"--entry={args.entry}", f"--workdir={workdir}"]
        flags += [f"--hyperparameters={args.hyperparameters}", f"--fingerprint={key}"]
        job = Job(flags, workdir, args.workers, path, args.silence_seconds, [lock])
        log.info("starting %d workers; their logs are %s/worker-*.log", args.workers, workdir)
        try:
            with followed(workdir, chosen.epochs) as (on_poll, on_line):
                run_workers(job, on_poll, on_line)
        finally:
            recorder.details = report(args, chosen, _result(workdir), _history(workdir))
        result = _result(workdir)
    if result is None:
        raise TransientError(f"the chief ended without a result in {workdir}; run it again")
    recorder.details = report(args, chosen, result, result.history)
    files = scan(workdir / "export")
    sent = store_files(store, workdir / "export", files)
    log.info("stored the model: %d files, %d bytes sent", len(files), sent)
    return Candidate(
        run=args.run,
        model=args.model,
        files=tuple(files),
        tree=tree_digest(files),
        data=args.data,
        data_digest=data.manifest.digest,
        code=code,
        hyperparameters=dict(chosen.all),
        signature=result.signature,
        frameworks=result.frameworks,
        created_at=now(),
    )


def check(chosen: Settings, data: DataSet, workers: int) -> None:
    """Refuse what no worker could train, before any starts.

    Raises:
        InputError: a split is absent or empty, the label has no classes, or a worker would have no row of a batch.
    """
    for split in ("train", "eval"):
        data.shards(split)
    if len(data.classes) < 2 or not data.features:
        raise InputError(f"{data.uri} has {len(data.classes)} classes and {len(data.features)} features; give both")
    if chosen.global_batch < workers:
        raise InputError(f"global_batch is {chosen.global_batch}, too few for {workers} workers; raise it")


def report(args: argparse.Namespace, chosen: Settings, found: Result | None, epochs: Sequence[Epoch]) -> TrainingReport:
    """Tell of a training, ended or not."""
    return TrainingReport(
        backend=args.backend,
        workers=args.workers,
        global_batch=chosen.global_batch,
        parameters=found.parameters if found else 0,
        examples_per_second=found.examples_per_second if found else 0.0,
        resumed_from_epoch=found.resumed_from_epoch if found else 0,
        history=tuple(epochs),
    )


def _result(workdir: Path) -> Result | None:
    path = workdir / "result.json"
    return decode(Result, path.read_bytes(), str(path)) if path.exists() else None


def _history(workdir: Path) -> tuple[Epoch, ...]:
    path = workdir / "history.json"
    return decode(History, path.read_bytes(), str(path)).epochs if path.exists() else ()


def parser() -> argparse.ArgumentParser:
    """Describe the command line; docs and contract tests read it too."""
    p = argparse.ArgumentParser(
        prog="colchis_steps.train",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.train --store file:///tmp/store --run demo --model digits "
        "--data file:///tmp/store/data/digits/0123456789abcdef --workers 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, metavar="NAME", help="the model's name")
    p.add_argument("--data", required=True, metavar="URI", help="the data set's directory in a store")
    p.add_argument(
        "--entry", default="colchis_steps.classifier:build", metavar="MODULE:FUNCTION", help="builds the model"
    )
    p.add_argument("--code", default="", metavar="URI", help="the user's code, as push_code stored it")
    p.add_argument(
        "--hyperparameters", default="{}", metavar="JSON", help="epochs, global_batch, seed, and the entry's"
    )
    p.add_argument("--backend", choices=("local",), default="local", help="what runs the workers")
    p.add_argument("--workers", type=positive, default=1, metavar="N", help="how many workers share each global batch")
    p.add_argument("--workdir", type=Path, metavar="DIR", help="holds checkpoints, so that a retry goes on from there")
    p.add_argument("--silence-seconds", type=float, default=60.0, metavar="S", help="a worker silent so long is lost")
    p.add_argument("--tree-path", type=Path, metavar="PATH", help="where to write the model's digest")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Train, and store the candidate; do nothing where this run has one."""
    args = parser().parse_args(argv)
    store, key = open_store(args.store), f"runs/{args.run}/model.json"
    candidate = find_document(store, key, Candidate)
    before = find_document(store, f"runs/{args.run}/train.json", StepResult)
    if candidate and before and before.status == "succeeded":
        log.info("run %s has its model already, %s; nothing to do", args.run, candidate.tree)
        write_output(args.tree_path, candidate.tree)
        return
    with recorded(store, args.run, "train", vars(args)) as recorder:
        with workplace(args.workdir, args.run) as (workdir, lock):
            candidate = train(args, store, recorder, workdir, lock)
            store.write(key, encode(candidate))
        recorder.outputs = {"tree": candidate.tree}
    write_output(args.tree_path, candidate.tree)
    log.info("run %s has a model: %s", args.run, candidate.tree)


if __name__ == "__main__":
    raise SystemExit(main())
