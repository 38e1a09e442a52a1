"""Infer a schema of a data set, as YAML to edit; or keep an edited one with the data, so that validate-data holds it.

Reads   a data set's manifest and its shards; or, with --pandera, a schema in your own code
Writes  with --keep: data/<name>/schema.yaml, which is held for every data set of the name
Prints  the schema otherwise
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from colchis_steps._data.dataset import newest, open_data
from colchis_steps._data.validating import pandera
from colchis_steps._data.validating.inferring import asked, dumped, schema_text
from colchis_steps._data.validating.keeping import schema_places
from colchis_steps._data.validating.scanning import scan
from colchis_steps._data.validating.schema import parse_schema
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._store.opening import open_store

log = logging.getLogger("colchis")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.infer_data"),
        description=__doc__.partition("\n")[0],
        epilog="example: colchis data infer houses > schema.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("data", metavar="URI|NAME", help="a data set's URI, or the name of one in the store")
    p.add_argument(
        "--store", default=default_store(), metavar="URL", help="where a name is looked for (default: the local store)"
    )
    either = p.add_mutually_exclusive_group()
    either.add_argument("--keep", type=Path, metavar="FILE", help="check this schema, and keep it with the data")
    either.add_argument(
        "--pandera", metavar="MODULE:ATTRIBUTE", help="take the rules from a pandera schema in your own code, run here"
    )
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Print a schema, or keep one."""
    args = parser().parse_args(argv)
    data = open_data(newest(args.data if "://" in args.data else f"{args.store.rstrip('/')}/data/{args.data}"))
    if args.keep:
        try:
            content = args.keep.read_bytes()
        except OSError as error:
            raise InputError(f"--keep {args.keep} cannot be read ({error.strerror}); give a schema.yaml") from error
        parse_schema(content, data.manifest, str(args.keep))
        place = schema_places(data)[1]
        home, _, key = place.rpartition("/")
        open_store(home).write(key, content)
        log.info("every data set %s is held against it from now on: %s", data.manifest.name, place)
        return
    if args.pandera:
        columns, left = pandera.columns_of(pandera.load(args.pandera))
        for one in left:
            log.warning("left out, as schema.yaml cannot say it: %s", one)
        text = dumped({"columns": columns})
        parse_schema(text.encode(), data.manifest, args.pandera)
    else:
        found = scan(data.store, data.manifest, asked(data.manifest), {})
        for fault in found.faults.values():
            log.warning("%s", fault.reason)
        text = schema_text(data.manifest, found, args.data)
    sys.stdout.write(text)


if __name__ == "__main__":
    raise SystemExit(main())
