"""Bring a data set into the store: shards of train, eval and test, then the manifest that makes them visible.

Reads   digits, iris: scikit-learn's copies of two UCI data sets; fashion-mnist: its four files, by network or --from;
        colours, colours-transfer: the photographs in scikit-learn, and with each other's colours;
        any other name: an npz of one's own, --from
Writes  <to>/data/<set>/<16 hex of the digest>/{train,eval,test}-00000.npz …, manifest.json last
Prints  the data set's URI
"""

import argparse
import hashlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from colchis_steps._data.sets import LABEL, LOADERS, DataSet, own
from colchis_steps._formats.data_v1 import DataManifest, Shard, data_digest
from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.keys import DATA_MANIFEST, data_prefix
from colchis_steps._step.flags import model_name, positive, prog
from colchis_steps._step.main import entrypoint
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document
from colchis_steps._store.opening import open_store

log = logging.getLogger("colchis")


def write(store: Objects, data: DataSet, shard_rows: int) -> str:
    """Write what of the data set is not in the store yet, the manifest last; return its URI. Safe to run again."""
    splits: dict[str, tuple[Shard, ...]] = dict.fromkeys(data.splits, ())
    for split, shard, _ in data.shards(shard_rows):
        splits[split] += (shard,)
    digest = data_digest(data.name, LABEL, data.columns, splits)
    prefix = data_prefix(data.name, digest)
    for _, shard, content in data.shards(shard_rows):
        key = f"{prefix}/{shard.path}"
        if store.create(key, content):
            continue
        if store.size(key) != shard.size or hashlib.sha256(store.read(key)).hexdigest() != shard.sha256:
            log.warning("%s/%s was altered; it is written anew", store.url, key)
            store.write(key, content)
    manifest = DataManifest(
        name=data.name,
        digest=digest,
        label=LABEL,
        columns=data.columns,
        splits=splits,
        source=data.source,
        created_at=now(),
    )
    if find_document(store, f"{prefix}/{DATA_MANIFEST}", DataManifest) is None:
        store.create(f"{prefix}/{DATA_MANIFEST}", encode(manifest))
    rows = ", ".join(f"{split} {sum(shard.rows for shard in shards)}" for split, shards in splits.items())
    log.info("%s: rows %s; digest %s", data.name, rows, digest)
    return f"{store.url.rstrip('/')}/{prefix}"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.import_data"),
        description=__doc__.partition("\n")[0],
        epilog="example: python -m colchis_steps.import_data digits --to file:///tmp/store",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "name", type=model_name, metavar="NAME", help=f"{', '.join(sorted(LOADERS))}; or one of your own, with --from"
    )
    p.add_argument("--to", required=True, metavar="URL", help="the store: s3://bucket/prefix or file:///directory")
    p.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        help="your own npz, with the label as 'label' beside one array; of fashion-mnist: where its four files lie",
    )
    p.add_argument(
        "--shard-rows", type=positive, default=512, metavar="N", help="rows of a shard (default %(default)s)"
    )
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Load, divide and write the data set."""
    p = parser()
    args = p.parse_args(argv)
    if args.name not in LOADERS:
        if not args.source:
            p.error(f"{args.name} is none of {', '.join(sorted(LOADERS))}; for rows of your own add --from FILE.npz")
        data = own(args.name, Path(args.source))
    elif args.source and args.name != "fashion-mnist":
        p.error(f"--from goes with fashion-mnist; {args.name} comes with scikit-learn")
    else:
        data = LOADERS[args.name](Path(args.source) if args.source else None)
    uri = write(open_store(args.to), data, args.shard_rows)
    sys.stdout.write(f"{uri}\n")


if __name__ == "__main__":
    raise SystemExit(main())
