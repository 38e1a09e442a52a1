"""Take a model that exists as a run's candidate: find it, give its outputs the task's names, store it.

Reads   --source: a SavedModel, a .keras or .onnx file, or a directory or prefix of s3:// that holds one of these
        --data: what its inputs and outputs are held against; without, --unjudged says that nobody judges it
        models/<model>/<n>/manifest.json of the newest version: what was adopted before keeps its files
Writes  runs/<run>/candidate/  model.json and its blobs, as a training does
        --tree-path            the model's digest
        --data-digest-path     that of the data
        --wanted-path          the verdict with which it may be published: pass, or unjudged
"""

import argparse
import logging
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from colchis_steps._adopting.finding import find_model
from colchis_steps._adopting.fitting import ACTIVATIONS, ANSWERS, Wanted
from colchis_steps._adopting.making import FORMATS, Asked, Made, make
from colchis_steps._adopting.source import open_source
from colchis_steps._content.blobs import scan
from colchis_steps._content.storing import store_directory
from colchis_steps._data.dataset import DataSet, open_data
from colchis_steps._formats.documents import canonical_digest, encode, now
from colchis_steps._formats.keys import candidate_key
from colchis_steps._formats.models import Candidate, Code, Origin, tree_digest
from colchis_steps._manifests.serve_options import serve_options
from colchis_steps._models.candidates import blobs_of, find_candidate
from colchis_steps._models.policy import UNJUDGED
from colchis_steps._models.versions import newest
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import boolean, model_name, operations, prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._step.progress import Progress
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import recorded
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import portable
from colchis_steps._tensors.described import listed
from colchis_steps._tensors.formats import SAVED_MODEL
from colchis_steps._tensors.probabilities import improper, in_words
from colchis_steps._tensors.tensor import Tensor, tensor_dtype

log = logging.getLogger("colchis")
ROWS = 64  # of the test split, on which the model is tried before it is stored


def wanted_of(args: argparse.Namespace, data: DataSet | None) -> Wanted:
    """Return what the model is held against: the data, or what the flags say in their place."""
    told = "" if args.task == "none" else args.task
    if data is None:
        return Wanted(told, len(args.classes), None, args.output, args.activation)
    task = data.task
    if told not in {"", task.kind} or args.classes not in {(), task.classes}:
        raise InputError(
            f"the task of {args.data} is {task.kind} with {len(task.classes)} classes, not {told or 'any'} with "
            f"{len(args.classes)}; leave --task and --classes out, as the data say both"
        )
    columns = {c.name: Tensor(c.name, tensor_dtype(c.dtype), (None, *c.shape)) for c in data.features.values()}
    width = len(task.classes)
    if task.kind == "regression":
        width = sum(math.prod(data.manifest.by_name[name].shape) for name in task.target)
    return Wanted(task.kind, width, columns, args.output, args.activation)


def check_answers(made: Made, data: DataSet, wanted: Wanted, source: str) -> None:
    """Ask the model about rows of the test split. Raises InputError where it fails, or its probabilities are none."""
    batch = next(iter(data.batches("test", ROWS)))
    answers = made.model.predict({name: batch.features[name][: batch.total] for name in made.model.inputs})
    if ANSWERS.get(wanted.task) != "probability":
        return
    found = answers["probability"]
    if (row := improper(found, one=wanted.task == "classification")) is not None:
        activation = "softmax" if wanted.task == "classification" and wanted.width > 2 else "sigmoid"
        raise InputError(
            f"{source} answers {in_words(found[row])}, not probabilities; if these are logits, say "
            f"--activation={activation}"
        )


def adopt(args: argparse.Namespace, store: Objects, data: DataSet | None) -> Candidate:
    """Return the candidate; what it is made of is stored."""
    source, wanted = open_source(args.source), wanted_of(args, data)
    found = find_model(source.files, args.source)
    place = f"{args.source.rstrip('/')}/{found.path}" if source.files.keys() != {found.path} else args.source
    log.info("found %s: %s", found.format, place.rstrip("/"))
    allowed = (*args.allow_operations, *serve_options(args.serve_options).allow_operations)
    with tempfile.TemporaryDirectory() as top:
        copied, work = Path(top, "found"), Path(top, "made")
        work.mkdir()
        source.copy(found.files, copied)
        above = f"{found.path}/" if found.format == SAVED_MODEL and found.path else ""
        digest = tree_digest(  # of a model, wherever it lies
            msgspec.structs.replace(one, path=found.format if one.path == found.path else one.path.removeprefix(above))
            for one in scan(copied)
        )
        asked = {**{f: getattr(wanted, f) for f in ("task", "width", "output", "activation")}, "from": digest}
        columns = {name: [one.dtype, list(one.shape)] for name, one in (wanted.columns or {}).items()}
        origin = Origin(
            uri=source.uri,
            path=found.path,
            format=found.format,
            digest=digest,
            fitted=canonical_digest({**asked, "columns": columns, "signature": args.signature}),
        )
        candidate = Candidate(
            run=args.run,
            model=args.model,
            files=(),
            tree="",
            data=args.data,
            data_digest=data.manifest.digest if data else "",
            code=Code(entry=""),
            hyperparameters={},
            signature={},
            frameworks={},
            created_at=now(),
            format=FORMATS.get(found.format, found.format),
            origin=origin,
            task=wanted.task,
            classes=args.classes or None,
        )
        if before := adopted(store, candidate):
            return before
        made = make(found, (copied, work), wanted, place, Asked(args.signature, allowed))
        if data:
            check_answers(made, data, wanted, place)
        with Progress("store", sum(file.stat().st_size for file in made.directory.rglob("*") if file.is_file())) as bar:
            files = store_directory(blobs_of(store, args.run), made.directory, bar.advance).files
        candidate.files, candidate.tree, candidate.beside = tuple(files), tree_digest(files), True
        candidate.origin = msgspec.structs.replace(origin, wrapped=made.wrapped)
        candidate.signature = listed(made.model.inputs, made.model.outputs)
        candidate.frameworks = made.frameworks
        return candidate


def adopted(store: Objects, candidate: Candidate) -> Candidate | None:
    """Return the candidate of what was adopted before: by this run, or as the newest version; None where neither is."""
    wanted = candidate.origin and candidate.origin.fitted
    earlier, same = find_candidate(store, candidate.run), (candidate.model, candidate.data_digest, wanted)
    if earlier and earlier.origin and (earlier.model, earlier.data_digest, earlier.origin.fitted) == same:
        return earlier
    last = newest(store, candidate.model)
    if last is None or not last.origin or last.origin.fitted != wanted:
        return None
    log.info("%s version %d is made of the same bytes", last.model, last.version)
    candidate.files, candidate.tree, candidate.origin = last.files, last.tree, last.origin
    made = find_candidate(store, last.run)
    if made and made.tree == last.tree:
        candidate.signature, candidate.frameworks = made.signature, made.frameworks
    return candidate


def names(text: str) -> tuple[str, ...]:
    """Parse names of classes, ``cat,dog``."""
    return tuple(name.strip() for name in text.split(",")) if text.strip() else ()


def parser() -> argparse.ArgumentParser:
    """Describe the command line; docs and contract tests read it too."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.adopt"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.adopt --store=file:///tmp/store --run=r1 --model=wines \\\n"
        "  --source=wines.keras --data=file:///tmp/store/data/wines/0123456789abcdef",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, type=model_name, metavar="NAME", help="the model's name")
    p.add_argument("--source", required=True, metavar="PATH", help="the model, or what holds it: a path or s3://…")
    p.add_argument("--data", default="", metavar="URI", help="the data set that it is judged on")
    p.add_argument(
        "--unjudged", type=boolean, default=False, metavar="BOOL", help="true: there are no data to judge on"
    )
    p.add_argument("--task", choices=("none", *ANSWERS), default="none", help="without data: what it is for")
    p.add_argument("--classes", type=names, default=(), metavar="NAMES", help="without data: the classes, cat,dog")
    p.add_argument("--output", default="", metavar="NAME", help="the output that is the task's answer (default: told)")
    p.add_argument("--activation", choices=ACTIVATIONS, default="none", help="what makes probabilities of that output")
    p.add_argument("--signature", default="", metavar="NAME", help="of a SavedModel (default: serving_default)")
    p.add_argument("--serve-options", default="{}", metavar="JSON", help="its allow_operations hold here")
    p.add_argument("--allow-operations", type=operations, default=(), metavar="NAMES", help="that may reach out")
    p.add_argument("--tree-path", type=Path, metavar="FILE", help="gets the model's digest")
    p.add_argument("--data-digest-path", type=Path, metavar="FILE", help="gets the data's digest")
    p.add_argument("--wanted-path", type=Path, metavar="FILE", help="gets pass, or unjudged where there are no data")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Store the candidate; the same bytes again give the same one."""
    args = parser().parse_args(argv)
    store = open_store(args.store)
    with recorded(store, args.run, "adopt", vars(args)) as recorder:
        if bool(args.data) == args.unjudged:
            raise InputError(
                "nothing says how good the model is; give --data URI to judge it on, or --unjudged to serve it without"
                if args.unjudged is False
                else f"--unjudged is given, and data to judge on ({args.data[:128]}); give one of the two"
            )
        data = open_data(args.data) if args.data else None
        candidate = adopt(args, store, data)
        store.write(candidate_key(args.run), encode(portable(store, candidate)))
        recorder.outputs = {
            "tree": candidate.tree,
            "data-digest": candidate.data_digest,
            "wanted": UNJUDGED if args.unjudged else "pass",
        }
    for name, value in recorder.outputs.items():
        write_output(vars(args)[f"{name.replace('-', '_')}_path"], value)
    log.info("run %s has a model: %s", args.run, candidate.tree)


if __name__ == "__main__":
    raise SystemExit(main())
