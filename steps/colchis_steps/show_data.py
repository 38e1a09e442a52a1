"""Show a data set: its task, columns, splits, where it came from, and the first rows.

Reads   <data URI>/manifest.json and the first part; or, for a name, the newest data set of that name in --store
"""

import argparse
import sys
from collections.abc import Sequence

from colchis_steps._data.dataset import newest, read_manifest
from colchis_steps._data.showing import lines
from colchis_steps._step.flags import positive, prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.text import printable
from colchis_steps._store.opening import open_store


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.show_data"),
        description=__doc__.partition("\n")[0],
        epilog="example: colchis data show houses",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("data", metavar="URI|NAME", help="a data set's URI, or the name of one in the store")
    p.add_argument(
        "--store", default=default_store(), metavar="URL", help="where a name is looked for (default: the local store)"
    )
    p.add_argument("--rows", type=positive, default=5, metavar="N", help="rows to show (default %(default)s)")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Print the data set."""
    args = parser().parse_args(argv)
    place = args.data if "://" in args.data else f"{args.store.rstrip('/')}/data/{args.data}"
    uri = newest(place)
    store = open_store(uri)
    for line in lines(store, uri, read_manifest(store, uri), args.rows):
        sys.stdout.write(f"{printable(line)}\n")


if __name__ == "__main__":
    raise SystemExit(main())
