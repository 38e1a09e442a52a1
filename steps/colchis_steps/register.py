"""Register a version: where it came from, once and for good; then latest names it.

Reads   models/<model>/<n>/manifest.json, runs/<run>/model.json
        runs/<run>/{validate_data,train,evaluate,build_image}.json
Writes  models/<model>/<n>/record.json     never over another
        models/<model>/<n>/statement.json  in-toto statement with SLSA provenance, from the record
        models/<model>/aliases/latest.json  last, and never back to a lower version
        in a pod, the record's mirror among the cluster's modelversions, where it knows them
        annotations of the job that trained, where it is kept
"""

import argparse
import hashlib
import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from colchis_steps._formats.documents import converted, encode, now
from colchis_steps._formats.keys import (
    candidate_key,
    manifest_key,
    record_key,
    result_key,
    statement_key,
    version_prefix,
)
from colchis_steps._formats.models import Candidate, Manifest, Record
from colchis_steps._formats.runs import ImageReport, StepResult
from colchis_steps._formats.steps import before
from colchis_steps._models.aliases import move_latest
from colchis_steps._models.kept_job import annotate_job
from colchis_steps._models.mirror import mirror
from colchis_steps._models.provenance import statement
from colchis_steps._oci.repository import parse_reference
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import model_name, positive, prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.text import one_line
from colchis_steps._store.documents import document_bytes, find_document, read_document, recorded
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import located, portable

if TYPE_CHECKING:
    from colchis_steps._formats.images import Layer

NAMED = 253  # characters of who submitted a run, and of its workflow's name, as Kubernetes has names
log = logging.getLogger("colchis")


def submitter(text: str) -> str:
    """Parse the flag: a name, or a workflow's labels as JSON, of which ``colchis.dev/created-by`` is the name.

    Argo 3.7 fills in a label that it found by an expression in the first tasks only; ``{{workflow.labels.json}}`` has
    it at any time.
    """
    if not text.startswith("{"):
        return one_line(text, NAMED)
    try:
        return one_line(msgspec.json.decode(text, type=dict[str, str]).get("colchis.dev/created-by", ""), NAMED)
    except msgspec.DecodeError as error:
        raise argparse.ArgumentTypeError(f"{text[:256]!r} is neither a name nor labels as JSON") from error


def step_images(text: str) -> dict[str, str]:
    """Parse the flag: a JSON object of image references by step; empty text is none."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, str])
    except msgspec.DecodeError as error:
        raise argparse.ArgumentTypeError(f"{text[:128]!r} is not a JSON object of images by step ({error})") from error


def judged(results: dict[str, StepResult], run: str) -> StepResult:
    """Return the result of evaluate, when it passed and no other step failed.

    Raises:
        InputError: the run has not earned a record.
    """
    for step, result in results.items():
        if result.status != "succeeded":
            raise InputError(f"run {run} has no record to earn: {step} is {result.status}; run the pipeline again")
    if "evaluate" not in results:
        raise InputError(f"run {run} was not evaluated; a version is registered after its gate, so run evaluate first")
    if (verdict := results["evaluate"].verdict) != "pass":
        raise InputError(f"the gate of run {run} says {verdict!r}, so its model is not registered; see its report")
    return results["evaluate"]


def held(found: Record, new: Record) -> Record:
    """Return the record that stands, when it is the new one too.

    Raises:
        InputError: the version is another model's bytes, or the same run tells another story.
    """
    # Another run that made the very same files was given the same version: the first record of it stands.
    compared = ("digest", "tree", "manifest_digest") if found.run != new.run else Record.__struct_fields__
    for name in compared:
        if name != "created_at" and getattr(found, name) != getattr(new, name):
            raise InputError(
                f"{new.model}/{new.version} is on record with {name} {str(getattr(found, name))[:256]!r}, not "
                f"{str(getattr(new, name))[:256]!r}; a record never changes, so publish a new version"
            )
    return found


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.register"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.register --store=file:///tmp/store --run=r1 \\\n"
        "  --model=digits --version=1 --image=oci:/tmp/images/digits@sha256:…",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, type=model_name, metavar="NAME", help="the model's name")
    p.add_argument("--version", required=True, type=positive, metavar="N", help="the version, as upload allotted it")
    p.add_argument("--image", required=True, metavar="REF", help="the image by digest, as build_image gave it")
    p.add_argument("--workflow", type=submitter, default="", metavar="NAME", help="the workflow that ran")
    p.add_argument(
        "--created-by", type=submitter, default="", metavar="WHO", help="who submitted it, or the workflow's labels"
    )
    p.add_argument(
        "--step-images", type=step_images, default="{}", metavar="JSON", help='{"train": "host/image@sha256:…"}'
    )
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Read what the run left, write record and statement, move latest."""
    args = parser().parse_args(argv)
    store = open_store(args.store)
    inputs = {**vars(args), "step_images": json.dumps(args.step_images)}
    with recorded(store, args.run, "register", inputs) as recorder:
        digest = parse_reference(args.image)[1]
        found = {step: find_document(store, result_key(args.run, step), StepResult) for step in before("register")}
        results = {step: result for step, result in found.items() if result}
        evaluated = judged(results, args.run)
        key = manifest_key(args.model, args.version)
        manifest = read_document(store, key, Manifest)
        candidate = portable(store, read_document(store, candidate_key(args.run), Candidate))
        if (candidate.model, candidate.tree) != (args.model, manifest.tree):
            raise InputError(
                f"run {args.run} made {candidate.model} with tree {candidate.tree}, but {args.model}/{args.version} "
                f"has {manifest.tree}; name the version that upload gave this run"
            )
        built = results["build_image"].outputs.get("image", "") if "build_image" in results else ""
        if built and parse_reference(built)[1] != digest:
            raise InputError(
                f"run {args.run} built {built}, not {args.image}; give the reference that build_image gave"
            )
        new = Record(
            model=args.model,
            version=args.version,
            run=args.run,
            image=args.image,
            digest=digest,
            tree=manifest.tree,
            manifest=key,
            manifest_digest=f"sha256:{hashlib.sha256(document_bytes(store, key)).hexdigest()}",
            data=candidate.data,
            data_digest=candidate.data_digest,
            code=candidate.code,
            hyperparameters=candidate.hyperparameters,
            metrics=converted(evaluated.details.get("metrics", {}), dict[str, float]),
            verdict=evaluated.verdict,
            frameworks=candidate.frameworks,
            step_images=args.step_images,
            workflow=args.workflow,
            created_by=args.created_by,
            created_at=now(),
        )
        place, key = version_prefix(new.model, new.version), record_key(new.model, new.version)
        record = new
        if not store.create(key, encode(new)):
            record = held(portable(store, read_document(store, key, Record)), new)
            log.info("%s is on record already, by run %s", place, record.run)
        if record.run == args.run:  # another run's statement is its own to finish
            layers: Sequence[Layer] = ()
            if "build_image" in results and results["build_image"].details:
                layers = converted(results["build_image"].details, ImageReport).layers
            provenance = statement(record, manifest.files, layers, results)
            store.create(statement_key(new.model, new.version), provenance)
        mirror(located(store, record), f"{store.url}/{key}")
        move_latest(store, record)
        annotate_job(record, results.get("train"))
        recorder.outputs = {"record": key}
        log.info("%s/%d is registered as %s", record.model, record.version, record.digest)


if __name__ == "__main__":
    raise SystemExit(main())
