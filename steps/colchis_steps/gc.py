"""Free the blobs that no version and no young run names, and the parts of uploads that nobody finished.

Reads   models/<model>/<n>/manifest.json  every version's; one that cannot be read stops the whole
        runs/<run>/…                      candidates of runs that wrote something in the last --keep-days
Removes blobs/sha256/<hex>                that are older than --keep-days and named by none of these
        runs/<run>/candidate/blobs/…      of other runs
        evaluations/<tree>/…              as old, of trees that none of these have
        stdout                            their keys, a line each; with --dry-run those that would go

Why it is safe beside uploads: docs/steps/gc.md.
"""

import argparse
import contextlib
import logging
import re
import time
from collections.abc import Iterable, Sequence

from colchis_steps._formats.documents import decode
from colchis_steps._formats.keys import (
    BLOBS,
    EVALUATIONS,
    MODELS,
    RUNS,
    blob_key,
    candidate_key,
    earlier_candidate_key,
    is_candidate_blob,
    run_of,
    tree_of,
    version_of,
)
from colchis_steps._formats.models import Candidate, Manifest
from colchis_steps._step.flags import positive, prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.progress import Progress
from colchis_steps._store.api import Entry, NotFound, Objects
from colchis_steps._store.documents import document_bytes
from colchis_steps._store.opening import open_store

DAY = 24 * 3600
log = logging.getLogger("colchis")


def last_written(runs: Iterable[Entry]) -> dict[str, float]:
    """Return when each run wrote something last, by run."""
    newest: dict[str, float] = {}
    for entry in runs:
        run = run_of(entry.key)
        newest[run] = max(newest.get(run, 0), entry.modified)
    return newest


def named(store: Objects, young: Iterable[str]) -> set[str]:
    """Return the keys of the blobs that a version names, or the candidate of one of the young runs.

    Raises:
        Unreadable: a manifest or a candidate cannot be read; what it names is not known, so nothing may go.
    """
    kept = set[str]()
    for key in store.keys(MODELS):
        if version_of(key):
            kept.update(_blobs(Manifest, document_bytes(store, key), f"{store.url}/{key}"))
    for run in young:
        for key in (candidate_key(run), earlier_candidate_key(run)):
            with contextlib.suppress(NotFound):
                kept.update(_blobs(Candidate, document_bytes(store, key), f"{store.url}/{key}"))
    return kept


def _blobs(kind: type[Manifest] | type[Candidate], content: bytes, source: str) -> set[str]:
    """Return the keys of all blobs that a document may name, in fields of a newer release too. Raises Unreadable."""
    files = {file.sha256 for file in decode(kind, content, source).files}
    return {blob_key(sha256) for sha256 in files | {found.decode() for found in re.findall(rb"[0-9a-f]{64}", content)}}


def garbage(blobs: Iterable[Entry], kept: set[str], since: float) -> list[Entry]:
    """Return the blobs that are older and that nothing names."""
    return [blob for blob in blobs if blob.modified < since and blob.key not in kept]


def collect(store: Objects, since: float, *, dry_run: bool) -> list[Entry]:
    """Remove the garbage; return what went. The blobs are listed before what names them is read: see the docs page."""
    blobs = list(store.entries(BLOBS))
    runs = list(store.entries(RUNS))
    young = {run for run, modified in last_written(runs).items() if modified >= since}
    left = [entry for entry in runs if is_candidate_blob(entry.key) and run_of(entry.key) not in young]
    results, kept = list(store.entries(EVALUATIONS)), named(store, young)
    trees = {key.rpartition("/")[2][:16] for key in kept}  # a document names its tree among what it may name
    judged = [entry for entry in results if entry.modified < since and tree_of(entry.key) not in trees]
    found = [*garbage(blobs, kept, since), *left, *judged]
    if dry_run:
        return found
    gone = []
    with Progress("free", sum(blob.size for blob in found)) as bar:
        for blob in found:
            now = store.find(blob.key)
            if now and now.modified < since:  # an upload that found it meanwhile has made it young
                store.delete(blob.key)
                gone.append(blob)
            bar.advance(blob.size)
    return gone


def keep_days(text: str) -> int:
    """Parse a number of days of at least 2: an upload makes a blob young again that is older than one."""
    if (days := positive(text)) < 2:
        raise argparse.ArgumentTypeError(f"{text} is too few: uploads that run now need what is younger than 2 days")
    return days


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.gc"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.gc --store=s3://bucket/colchis --dry-run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--store", metavar="URL", help="default: the local one, below $COLCHIS_HOME or ./.colchis")
    p.add_argument(
        "--keep-days",
        type=keep_days,
        default=7,
        metavar="N",
        help="runs and blobs younger than this stay; at least 2 (default: %(default)s)",
    )
    p.add_argument("--dry-run", action="store_true", help="show what would go")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Collect, and say what went."""
    args = parser().parse_args(argv)
    store, since = open_store(args.store or default_store()), time.time() - args.keep_days * DAY
    gone = collect(store, since, dry_run=args.dry_run)
    for blob in gone:
        print(blob.key)
    size, verb = sum(blob.size for blob in gone), "would go" if args.dry_run else "went"
    uploads = 0 if args.dry_run else store.abandon(BLOBS, since) + store.abandon(RUNS, since)
    log.info("%d blobs of %d bytes %s; %d unfinished uploads ended in %s", len(gone), size, verb, uploads, store.url)


if __name__ == "__main__":
    raise SystemExit(main())
