"""Say in what two versions or runs differ: data, code, hyper-parameters, figures with a test, and predictions.

Reads   models/*/*/{record,manifest}.json, runs/<run>/, evaluations/<tree>/<data>/, the manifests of the data
Prints  the differences, for people or, with --json, as JSON
Writes  --html: the same as a page without scripts
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from colchis_steps._formats.numbers import worded
from colchis_steps._origins import comparing, gathering, page, pairing, parts, resolving
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._step.text import printable
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store


def origin(store: Objects, what: str) -> gathering.Origin:
    """Gather what there is of a version or run.

    Raises:
        InputError: there is neither.
    """
    found = resolving.version_or_run(store, what)
    return gathering.of_run(store, found) if isinstance(found, str) else gathering.of_version(store, found)


def paired(store: Objects, before: gathering.Origin, now: gathering.Origin) -> pairing.Paired | str:
    """Set the two beside each other row by row; return why not where that cannot be."""
    try:
        return pairing.paired((store, before), (store, now))
    except InputError as error:
        return str(error)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.compare"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.compare digits@1 digits@2\n"
        "example: python -m colchis_steps.compare digits@stable try-7 --html=compare.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("before", metavar="A", help="MODEL@VERSION, MODEL@ALIAS, a digest, an endpoint, or a run")
    p.add_argument("now", metavar="B", help="what is set against it")
    p.add_argument("--store", metavar="URL", help="where they are (default: the local store)")
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_argument("--html", type=Path, metavar="FILE", help="write a page, and print nothing else")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Find the two, set them beside each other, and say it."""
    args = parser().parse_args(argv)
    store = open_store(args.store or default_store())
    before, now = origin(store, args.before), origin(store, args.now)
    rows = paired(store, before, now)
    if args.html:
        title, told = comparing.told(before, now, rows)
        write_output(args.html, page.told(title, "compare", [], told))
        return
    if args.json:
        print(printable(json.dumps(worded(comparing.as_json(before, now, rows)), indent=2, ensure_ascii=False)))
        return
    print(parts.text(*comparing.told(before, now, rows)))


if __name__ == "__main__":
    raise SystemExit(main())
