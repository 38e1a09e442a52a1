"""Store a directory of Python code by its digest, so that training can name it.

Reads   DIR        modules and packages; hidden files and compiled Python are left out
Writes  code/<sha256>.zip in the store
Prints  the code's URI, for ``--code``
"""

import argparse
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from colchis_steps._content.code import listed, pack
from colchis_steps._content.revision import repository_of, revision_of
from colchis_steps._formats.keys import code_key
from colchis_steps._step.flags import prog
from colchis_steps._step.main import entrypoint
from colchis_steps._store.api import Objects
from colchis_steps._store.opening import open_store

log = logging.getLogger("colchis")
EXAMPLE = "example: python -m colchis_steps.push_code examples/01-digits --store=file:///tmp/store"


def push(store: Objects, directory: Path) -> str:
    """Store the directory's code unless it is there; return its URI."""
    files = listed(directory)
    revision, repository = revision_of(directory, files), repository_of(directory)
    content = pack(directory, files, revision, repository)
    key = code_key(hashlib.sha256(content).hexdigest())
    new = store.create(key, content)
    place = f"{revision} of {repository}" if revision and repository else revision or "unknown"
    log.info("%d files, revision %s, %s", len(files), place, "stored" if new else "stored before")
    return f"{store.url}/{key}"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.push_code"),
        description=(__doc__ or "").partition("\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("directory", metavar="DIR", type=Path, help="it becomes the root of what can be imported")
    p.add_argument("--store", required=True, metavar="URL", help="s3://bucket/prefix or file:///directory")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Pack, store, print the URI."""
    args = parser().parse_args(argv)
    print(push(open_store(args.store), args.directory))


if __name__ == "__main__":
    raise SystemExit(main())
