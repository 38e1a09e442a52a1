"""Make a stored candidate a version of its model: verify its blobs, allot the next number, write the manifest.

Reads   runs/<run>/candidate/  the model that train or adopt stored; --from DIRECTORY stores one as it is
        runs/<run>/evaluate.json  what was judged; another candidate is refused
Writes  blobs/sha256/<hex>     its files, large ones copied by the server; with --from sent, unless they are there
        models/<model>/<n>/files/…        with --plain-prefix=true: the files under their names, copied by the server
        models/<model>/<n>/manifest.json  last, never over another: the version exists when this does
        --version-path         n
        --current-path         false, and no version, where the model is to be judged again (--on-moved=tell)
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from colchis_steps._content.blobs import plain_files
from colchis_steps._content.confirmed import check_confirmed
from colchis_steps._content.plain import publish
from colchis_steps._content.storing import store_directory
from colchis_steps._content.taking import take_over
from colchis_steps._data.dataset import open_data
from colchis_steps._data.facts import Facts, served_facts
from colchis_steps._formats.documents import encode, now
from colchis_steps._formats.keys import blob_key, candidate_key, manifest_key
from colchis_steps._formats.models import Candidate, Code, Manifest, tree_digest
from colchis_steps._formats.runs import UploadReport
from colchis_steps._models.candidates import blobs_of, find_candidate
from colchis_steps._models.verdict import claim_flags, claims_of, evaluation_of, moved, passed
from colchis_steps._models.versions import newest
from colchis_steps._savedmodel.listing import MOST, reaching_operations
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import boolean, model_name, prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._step.progress import Progress
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import recorded
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import absolute
from colchis_steps._tensors.formats import GRAPH, format_of

log = logging.getLogger("colchis")
EXAMPLE = (
    "example: python -m colchis_steps.upload --store=file:///tmp/store --run=r1 --model=digits --from=./saved_model"
)


def allot(store: Objects, candidate: Candidate, *, plain: bool = False) -> tuple[Manifest, bool]:
    """Return the candidate's version and whether it was there already; writers that race get one number each.

    The newest version is the candidate's where it has its files: a retry makes no duplicate. A run that trained again
    has other files, and gets a version of its own, so that metrics never stand beside files that they do not describe.
    The plain files come before the manifest. Where two writers took one number for their files, the one that got it
    puts its own in order again.
    """
    while True:
        last = newest(store, candidate.model)
        if last and last.tree == candidate.tree:
            if plain:
                publish(store, last)
            return last, True
        if last and last.run == candidate.run:
            log.warning("run %s made version %d of other files before; this is another one", last.run, last.version)
        found = facts(store, candidate)
        manifest = Manifest(
            model=candidate.model,
            version=last.version + 1 if last else 1,
            run=candidate.run,
            files=candidate.files,
            tree=candidate.tree,
            created_at=now(),
            inputs=found and found.inputs,
            classes=found.classes if found else candidate.classes,
            task=found.task if found else candidate.task,
            columns=found and found.columns,
            targets=found.targets if found else (),
            format=candidate.format,
            origin=candidate.origin,
        )
        if plain:
            publish(store, manifest)
        if store.create(manifest_key(manifest.model, manifest.version), encode(manifest)):
            if plain:
                publish(store, manifest)
            return manifest, False


def facts(store: Objects, candidate: Candidate) -> Facts | None:
    """Return what the candidate's data set says of the model; None where it does not tell."""
    if not candidate.data:
        return None
    try:
        data = open_data(absolute(store, candidate.data)).manifest
    except InputError as error:
        log.warning("the manifest has no bounds of the inputs and no names of classes: %s", error)
        return None
    return served_facts(data) if data.digest == candidate.data_digest else None


def adopt(store: Objects, run: str, model: str, directory: Path) -> tuple[Candidate, int]:
    """Store a directory as the run's candidate; return it and the bytes sent. What only TensorFlow reads stays {}."""
    listed = plain_files(directory)
    kind = format_of(listed, str(directory))
    with Progress("store", sum(found.st_size for found in listed.values())) as bar:
        files, sent = store_directory(store, directory, bar.advance, listed)
    candidate = Candidate(
        run=run,
        model=model,
        files=tuple(files),
        tree=tree_digest(files),
        data="",
        data_digest="",
        code=Code(entry=""),
        hyperparameters={},
        signature={},
        frameworks={},
        created_at=now(),
        format=kind,
    )
    before = find_candidate(store, run)
    if before and (before.model, before.tree, before.beside) == (model, candidate.tree, False):
        return before, sent
    store.write(candidate_key(run), encode(candidate))
    return candidate, sent


def stored_candidate(store: Objects, run: str, model: str) -> Candidate:
    """Read the run's candidate and hold it against itself.

    Raises:
        InputError: there is none, it is of another model, or its tree digest is not that of its files.
    """
    key = candidate_key(run)
    candidate = find_candidate(store, run)
    if candidate is None:
        raise InputError(f"run {run} has no candidate in {store.url} ({key}); train or adopt one first")
    if candidate.model != model:
        raise InputError(f"run {run} trained model {candidate.model!r}, not {model!r}; name the same one to both steps")
    if tree_digest(candidate.files) != candidate.tree:
        raise InputError(f"{store.url}/{key} is altered: its tree digest is not that of its files; train again")
    kind = format_of([file.path for file in candidate.files], f"{store.url}/{key}")
    return msgspec.structs.replace(candidate, format=kind)


def told(store: Objects, candidate: Candidate) -> tuple[str, ...]:
    """Return the operations by which the model can reach out of itself, and tell them, for who publishes it."""
    graph = next((file for file in candidate.files if file.path == GRAPH and file.size <= MOST), None)
    found = reaching_operations(store.read(blob_key(graph.sha256))) if graph else ()
    if found:
        names = ", ".join(found)
        log.warning(
            "%s has operations that can reach out of it: %s; they need allow_operations", candidate.model, names
        )
    return found


def is_current(store: Objects, candidate: Candidate, args: argparse.Namespace) -> bool:
    """Return whether the model was judged against the version that is stable now; what was not evaluated is.

    Raises:
        InputError: the evaluation is not of this candidate, says no, or is outdated and ``--on-moved`` is refuse.
    """
    found = evaluation_of(store, args.run, candidate, claims_of(args))
    if found is None:
        return True
    passed(found, args.run)
    why = moved(store, candidate.model, found)
    if why and args.on_moved == "refuse":
        raise InputError(f"{why}; evaluate it again")
    if why:
        log.warning("%s; it has to be judged again", why)
    return not why


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.upload"),
        description=(__doc__ or "").partition("\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, type=model_name, metavar="NAME", help="lower case letters, digits and '-'")
    p.add_argument("--from", default="", metavar="DIRECTORY", help="a SavedModel or ONNX model that train did not make")
    p.add_argument(
        "--plain-prefix",
        type=boolean,
        default=False,
        metavar="true|false",
        help="also put the files under models/<model>/<n>/files/, for servers that read a prefix (default: false)",
    )
    claim_flags(p)
    p.add_argument(
        "--on-moved",
        choices=("refuse", "tell"),
        default="refuse",
        help="what to do where another version is stable now than the one that evaluate compared with",
    )
    p.add_argument("--version-path", type=Path, metavar="FILE", help="where the version's number is written")
    p.add_argument("--current-path", type=Path, metavar="FILE", help="gets false where the model is to be judged again")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Store or find the candidate, verify it, make it a version."""
    args = parser().parse_args(argv)
    store = open_store(args.store)
    with recorded(store, args.run, "upload", vars(args)) as recorder:
        if source := vars(args)["from"]:
            candidate, sent = adopt(store, args.run, args.model, Path(source))
        else:
            candidate, sent = stored_candidate(store, args.run, args.model), 0
            files = candidate.files
            if not is_current(store, candidate, args):
                recorder.outputs["current"] = "false"
                write_output(args.current_path, "false")
                return
            with Progress("verify", sum({file.sha256: file.size for file in files}.values())) as bar:
                if candidate.beside:
                    sent = take_over(store, blobs_of(store, args.run), args.run, files, bar.advance)
                else:
                    check_confirmed(store, args.run, files, bar.advance)
        operations = told(store, candidate)
        manifest, reused = allot(store, candidate, plain=args.plain_prefix)
        total = sum(file.size for file in candidate.files)
        recorder.outputs["version"] = str(manifest.version)
        recorder.details = UploadReport(len(candidate.files), total, sent, reused, operations)
        state = "was there" if reused else "is made"
        log.info(
            "%s version %d %s: %d files, %d bytes", args.model, manifest.version, state, len(candidate.files), total
        )
        write_output(args.version_path, str(manifest.version))
        write_output(args.current_path, "true")


if __name__ == "__main__":
    raise SystemExit(main())
