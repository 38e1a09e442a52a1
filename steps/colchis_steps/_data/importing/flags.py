"""The flags of ``colchis data import``."""

import argparse
import math
import re

from colchis_steps._data.importing.files import SPLITS
from colchis_steps._data.importing.request import SHARES, Given, Request
from colchis_steps._formats.data import TASKS, WAYS
from colchis_steps._step.flags import positive


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of an import from files."""
    where = parser.add_argument_group("from where")
    where.add_argument(
        "--from",
        dest="given",
        action="append",
        default=[],
        type=_given,
        metavar="[SPLIT=]PLACE",
        help="a file, folder or pattern, s3://bucket/key or https://…: CSV, Parquet, TFRecord, npz, Arrow IPC, or a "
        "folder of images; several times for several; train=PLACE, eval=PLACE or test=PLACE for splits of your own",
    )
    where.add_argument("--parent", default="", metavar="URI", help="the data set that these were made of")
    where.add_argument("--delimiter", type=_delimiter, metavar="C", help="of CSV (found from its first lines)")
    where.add_argument("--encoding", default="", metavar="NAME", help="of CSV, such as latin-1 (default utf-8)")
    what = parser.add_argument_group("what is in it")
    what.add_argument("--label", default=(), type=_names, metavar="A[,B]", help="the columns that a model is to tell")
    what.add_argument("--task", default="", choices=TASKS, help="what the label is, where its values leave it open")
    what.add_argument(
        "--columns",
        default=((), {}),
        type=_columns,
        metavar="A,B:TYPE,…",
        help="the columns to keep (default all), and types by Arrow's names; with types alone all columns stay",
    )
    what.add_argument("--classes", default=(), type=_names, metavar="A,B", help="names of the classes, in their order")
    what.add_argument("--weight", default="", metavar="COLUMN", help="how much a row counts")
    what.add_argument(
        "--group", default=(), type=_names, metavar="A[,B]", help="who a row is of; a group is never divided"
    )
    what.add_argument("--time", default="", metavar="COLUMN", help="when a row is from")
    what.add_argument("--key", default=(), type=_names, metavar="A[,B]", help="what tells a row from all others")
    what.add_argument("--slice", dest="slices", default=(), type=_names, metavar="A[,B]", help="columns to judge by")
    how = parser.add_argument_group("how it is divided")
    how.add_argument(
        "--split-by",
        default="",
        choices=WAYS,
        help="default: given where the sources or a column say so, else group, time, or a hash of the key or features",
    )
    how.add_argument("--split-column", default="", metavar="COLUMN", help="holds train, eval or test for each row")
    how.add_argument(
        "--shares",
        default=SHARES,
        type=_shares,
        metavar="A,B,C",
        help="of train, eval and test (default 0.7,0.15,0.15)",
    )
    how.add_argument(
        "--gap", default=0.0, type=_gap, metavar="SECONDS", help="left out before eval and test in a split by time"
    )
    how.add_argument("--in-place", action="store_true", help="leave Parquet where it lies, and keep its sha256")
    how.add_argument("--shard-rows", type=positive, metavar="N", help="rows of a part (default: about 64 MiB)")


def request(args: argparse.Namespace) -> Request:
    """Return what the flags ask for."""
    keep, types = args.columns
    return Request(
        name=args.name,
        given=tuple(args.given),
        label=args.label,
        task=args.task,
        keep=keep,
        types=types,
        weight=args.weight,
        group=args.group,
        time=args.time,
        key=args.key,
        slices=args.slices,
        classes=args.classes,
        split_by=args.split_by,
        split_column=args.split_column,
        shares=args.shares,
        gap=args.gap,
        in_place=args.in_place,
        delimiter=args.delimiter or "",
        encoding=args.encoding,
        shard_rows=args.shard_rows,
    )


def _given(text: str) -> Given:
    split, equals, place = text.partition("=")
    if equals and split.lower() in SPLITS:
        return Given(place, SPLITS[split.lower()])
    return Given(text)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len({*names}) < len(names):
        raise argparse.ArgumentTypeError(f"{text[:128]!r} are not names; write each once, with commas between")
    return names


def _columns(text: str) -> tuple[tuple[str, ...], dict[str, str]]:
    keep, types = [], {}
    for entry in re.split(r",(?![^\[]*\])", text):  # timestamp[us, UTC] is one
        name, colon, kind = entry.strip().rpartition(":")
        if colon and name and kind:
            types[name] = kind
        else:
            keep.append(entry.strip())
    return (*keep, *(types if keep else ())), types


def _delimiter(text: str) -> str:
    found = {"tab": "\t", r"\t": "\t"}.get(text, text)
    if len(found) != 1 or found in '"\r\n':
        raise argparse.ArgumentTypeError(f"{text[:16]!r} is not one character; write tab for a tabulator")
    return found


def _shares(text: str) -> dict[str, float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != len(SHARES) or not all(0 <= share < math.inf for share in found) or not found[0]:
        raise argparse.ArgumentTypeError(f"{text[:64]!r} are not shares of train, eval and test; write 0.7,0.15,0.15")
    return {name: share / sum(found) for name, share in zip(SHARES, found, strict=True)}


def _gap(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < math.inf:
        raise argparse.ArgumentTypeError(f"{text[:64]!r} is not a number of seconds; write for example 86400")
    return found
