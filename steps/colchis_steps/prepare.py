"""Make one data set of another by a command of the user's: features, joins, cleaning; once for the same inputs.

Reads   --data                                  the data set, and --code, a zip of push_code
Writes  data/<set>-prepared/<16 hex>/…          what the command made, with its parent in the manifest
        data/<set>/prepared/<16 hex>.json       which it is, by data, code and command: the same again runs nothing
        runs/<run>/prepare.json; --data-path, --digest-path: the data set, for later steps to hold

In a pod its parts have a container each: the one that runs the command has no key. Where a WorkflowTemplate of the
user's makes the data, this step looks at them afterwards: --made-data and --made-digest.
"""

import argparse
import contextlib
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from colchis_steps._content.code import describe_code, unpack_code
from colchis_steps._data.dataset import DataSet, open_data, read_manifest
from colchis_steps._data.validating.rules import RULES
from colchis_steps._data.validating.whole import sentence, validate
from colchis_steps._formats.data import DataManifest, Parent
from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import DATA_MANIFEST, prepared_key
from colchis_steps._formats.prepared import Prepared
from colchis_steps._prepare.asked import TEMPLATE, kind_of
from colchis_steps._prepare.checking import check
from colchis_steps._prepare.command import execute
from colchis_steps._prepare.exporting import export
from colchis_steps._prepare.taking import take
from colchis_steps._step.child import words_of
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document, read_document, recorded
from colchis_steps._store.opening import open_store
from colchis_steps._store.refusal import check_refusal, is_refused, refused
from colchis_steps._store.uris import absolute, relative

PARTS = ("fetch", "command", "take")
ASKED = "asked.json"
log = logging.getLogger("colchis")


def fetch(args: argparse.Namespace, store: Objects, given: Path) -> None:
    """Fetch the data and the code; or note what was made of the same before.

    Raises:
        InputError: one of them is missing or damaged, or the command is none.
    """
    if kind_of(args.prepare) != "command":
        raise InputError(f"--prepare={args.prepare[:64]!r} is no command; this step runs 'command:python features.py'")
    words_of(args.prepare)
    data = validated(args)
    code = describe_code(args.code).digest if args.code else ""
    asked = Prepared(Parent(data.manifest.digest, code, args.prepare))
    here = open_store(given.as_uri())
    if found := made_before(store, data, asked):
        here.write(ASKED, encode(found))
        return
    if args.code:
        unpack_code(args.code, given / "code")
    export(data, given / "input")
    here.write(ASKED, encode(asked))


def validated(args: argparse.Namespace) -> DataSet:
    """Return the data. Raises InputError: they are not what was validated."""
    data = open_data(args.data)
    if args.data_digest not in {"", data.manifest.digest}:
        raise InputError(
            f"{args.data} is {data.manifest.digest}, but {args.data_digest} was validated; run the pipeline again"
        )
    return data


def made_before(store: Objects, data: DataSet, asked: Prepared) -> Prepared | None:
    """Return what the same command made of the same data; without code nobody knows that it is the same."""
    if not asked.parent.code:
        return None
    found = find_document(store, prepared_key(data.manifest.name, asked.parent), Prepared)
    if found is None or found.parent != asked.parent:
        return None
    uri = absolute(store, found.uri)
    there = open_store(uri)
    if there.size(DATA_MANIFEST) is None:
        return None
    return found if read_manifest(there, uri).digest == found.digest else None


def concluded(args: argparse.Namespace, store: Objects, given: Path, made: Path) -> tuple[Prepared, str]:
    """Take what the command made; return it and a sentence."""
    for directory in (given, made):
        check_refusal(directory)
    asked = read_document(open_store(given.as_uri()), ASKED, Prepared)
    if asked.uri:
        return asked, f"made before by the same code and command: {absolute(store, asked.uri)}"
    before = open_data(args.data).manifest
    if before.digest != asked.parent.data:
        raise InputError(f"{args.data} is {before.digest} now and was {asked.parent.data}; run the pipeline again")
    uri = take(store, made / "output", before, asked.parent)
    after = read_manifest(open_store(uri), uri)
    if wrong := sentence(validate(open_store(uri), after, RULES).checks):
        raise InputError(f"what the command made spoils a model: {wrong}")
    found = Prepared(asked.parent, relative(store, uri), after.digest)
    if asked.parent.code:
        store.write(prepared_key(before.name, asked.parent), encode(found))
    return found, told(after)


def checked(args: argparse.Namespace, store: Objects) -> tuple[Prepared, str]:
    """Look at what a template of the user's made; return it and a sentence."""
    before = validated(args).manifest
    after = check(args.made_data, args.made_digest, before, args.prepare)
    return Prepared(Parent(before.digest, "", args.prepare), relative(store, args.made_data), after.digest), told(after)


def told(after: DataManifest) -> str:
    """Return what was made, as a sentence."""
    rows = ", ".join(f"{name} {split.rows}" for name, split in after.splits.items())
    return f"{after.name}: rows {rows}; features {', '.join(c.name for c in after.of_role('feature'))[:256]}"


def parser() -> argparse.ArgumentParser:
    """Describe the command line; docs and contract tests read it too."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.prepare"),
        description=__doc__.partition("\n")[0],
        epilog="example: python -m colchis_steps.prepare --store=file:///tmp/store --run=try "
        "--data=file:///tmp/store/data/houses/0123456789abcdef --prepare='command:python features.py'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--data", required=True, metavar="URI", help="the data set's directory in a store")
    p.add_argument("--data-digest", default="", metavar="DIGEST", help="what was validated; other data is refused")
    p.add_argument(
        "--prepare",
        required=True,
        metavar="HOW",
        help="'command:python features.py', run in the code's directory without a shell; it reads $COLCHIS_INPUT and "
        "writes $COLCHIS_OUTPUT; or 'template:NAME', where --made-data is what that WorkflowTemplate made",
    )
    p.add_argument("--code", default="", metavar="URI", help="the code, as push_code printed it; '' if none is needed")
    p.add_argument(
        "--part", choices=PARTS, help="do one part alone, in a container of its own: command has no key (default: all)"
    )
    p.add_argument("--given", type=Path, metavar="DIR", help="with --part: what was fetched")
    p.add_argument("--made", type=Path, metavar="DIR", help="with --part: what the command made")
    p.add_argument("--made-data", default="", metavar="URI", help="look at this alone: what the template NAME made")
    p.add_argument("--made-digest", default="", metavar="DIGEST", help="its digest, as the template gave it")
    p.add_argument("--data-path", type=Path, metavar="PATH", help="where to write the URI of the data set")
    p.add_argument("--digest-path", type=Path, metavar="PATH", help="where to write its digest")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Do all of it here, or one part."""
    p = parser()
    args = p.parse_args(argv)
    if args.part and not (args.given and args.made):
        p.error("--part needs --given=DIR and --made=DIR")
    if args.prepare.startswith(TEMPLATE) and not args.part:
        conclude(args)
        return
    with contextlib.ExitStack() as stack:
        if not args.part:
            top = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            args.given, args.made = top / "given", top / "made"
        if args.part in {None, "fetch"}:
            with refused(args.given):
                fetch(args, open_store(args.store), args.given)
        if args.part in {None, "command"} and not is_refused(args.given):
            with refused(args.made):
                work(args)
        if args.part in {None, "take"}:
            conclude(args)


def work(args: argparse.Namespace) -> None:
    """Run the command, unless what it makes is there."""
    if read_document(open_store(args.given.as_uri()), ASKED, Prepared).uri:
        return
    made = args.made / "work"  # a copy of its own: what was fetched is read alone
    if (args.given / "code").is_dir():
        shutil.copytree(args.given / "code", made, dirs_exist_ok=True)
    execute(args.prepare, made, args.given / "input", args.made / "output")


def conclude(args: argparse.Namespace) -> None:
    """Write down what was made."""
    store = open_store(args.store)
    flags = {name: value for name, value in vars(args).items() if name not in {"part", "given", "made"}}
    with recorded(store, args.run, "prepare", flags) as recorder:
        if kind_of(args.prepare) == "template":
            found, recorder.message = checked(args, store)
        else:
            found, recorder.message = concluded(args, store, args.given, args.made)
        recorder.outputs = {"data": absolute(store, found.uri), "digest": found.digest}
        for name, value in recorder.outputs.items():
            write_output(vars(args)[f"{name}_path"], value)
    log.info("%s", recorder.message)


if __name__ == "__main__":
    raise SystemExit(main())
