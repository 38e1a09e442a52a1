"""Copy the model out of its image into a directory, verified; the init container of ``--model-volume=copy``.

Reads   --image  by digest, from a registry or an image layout
Writes  --to     the files below /models/1 of the image; whole or not at all
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from colchis_steps._oci.contents import unpack
from colchis_steps._step.flags import boolean, positive, prog
from colchis_steps._step.main import entrypoint

log = logging.getLogger("colchis")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.unpack"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.unpack --image=oci:/tmp/images/digits@sha256:… --to=/tmp/digits/1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--image", required=True, metavar="REF", help="the model's image by digest")
    p.add_argument("--to", required=True, type=Path, metavar="DIR", help="what is there is replaced")
    p.add_argument(
        "--most-bytes", type=positive, metavar="N", help="the model's size; more is refused (default: what is free)"
    )
    p.add_argument(
        "--insecure-registry",
        type=boolean,
        nargs="?",
        const=True,
        default=False,
        metavar="BOOL",
        help="speak plain HTTP to a registry that is not on this machine (default: false)",
    )
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Copy."""
    args = parser().parse_args(argv)
    files = unpack(args.image, args.to.absolute(), most=args.most_bytes or 0, insecure=args.insecure_registry)
    log.info("%d files, %d bytes, of %s are in %s", len(files), sum(file.size for file in files), args.image, args.to)


if __name__ == "__main__":
    raise SystemExit(main())
