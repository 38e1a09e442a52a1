"""Bring a data set into the store: parts of train, eval and test, then the manifest that makes them visible.

Reads   files, folders, s3:// or https:// places that --from names: CSV, Parquet, TFRecord, npz, Arrow IPC, images; or a
        set by its name: digits, iris, colours, colours-transfer (of scikit-learn), fashion-mnist (by network or --from)
Writes  <to>/data/<set>/<16 hex of the digest>/{train,eval,test}-00000.arrow …, manifest.json last
Prints  the data set's URI
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from colchis_steps._data.dataset import open_data
from colchis_steps._data.importing import flags
from colchis_steps._data.importing.run import run
from colchis_steps._data.sets import LOADERS, write
from colchis_steps._evaluation.enough import split_tells
from colchis_steps._formats.data import Parent
from colchis_steps._step.flags import COMMAND, model_name, prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._store.opening import open_store

MODULE = "colchis_steps.import_data"
SHARD_ROWS = 512  # of the sets with a name
log = logging.getLogger("colchis")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog(MODULE),
        description=__doc__.partition("\n")[0],
        epilog="example: colchis data import houses --from houses.csv --label price",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "name", type=model_name, metavar="NAME", help=f"{', '.join(sorted(LOADERS))}; or one of your own, with --from"
    )
    p.add_argument(
        "--to",
        default=default_store(),
        metavar="URL",
        help="the store: s3://bucket/prefix or file:///directory (default: the local one)",
    )
    flags.add(p)
    p.add_argument("--data-path", type=Path, metavar="PATH", help="where to write the URI, for a template of Argo's")
    p.add_argument("--digest-path", type=Path, metavar="PATH", help="where to write the data's digest")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Read, divide and write the data set."""
    p = parser()
    args = p.parse_args(argv)
    if os.environ.get(COMMAND) == f"{MODULE}=colchis data":
        log.warning("the next release knows this as `colchis data import %s …` alone", args.name)
    if args.name not in LOADERS:
        if not args.given:
            p.error(f"{args.name} is none of {', '.join(sorted(LOADERS))}; for rows of your own add --from FILE")
        request = flags.request(args)
        if args.parent:
            request = replace(request, parent=Parent(open_data(args.parent).manifest.digest, "", ""))
        uri = run(open_store(args.to), request)
    else:
        if args.given and (args.name != "fashion-mnist" or len(args.given) > 1):
            p.error(f"--from goes with fashion-mnist, once; {args.name} comes with scikit-learn")
        directory = Path(args.given[0].place) if args.given else None
        uri = write(open_store(args.to), LOADERS[args.name](directory), args.shard_rows or SHARD_ROWS)
    data = open_data(uri)
    if doubt := split_tells(data.rows("test"), data.task.kind):
        log.warning("%s", doubt)
    write_output(args.data_path, uri)
    if args.digest_path:
        write_output(args.digest_path, data.manifest.digest)
    sys.stdout.write(f"{uri}\n")


if __name__ == "__main__":
    raise SystemExit(main())
