"""Register a version: where it came from, once and for good; then latest names it.

Reads   models/<model>/<n>/manifest.json, runs/<run>/candidate/model.json, runs/<run>/training/train.json
        runs/<run>/{validate_data,evaluate,build_image}.json; what evaluate found has to be what the flags say
Writes  models/<model>/<n>/record.json     never over another
        models/<model>/<n>/statement.json  in-toto statement with SLSA provenance, from the record
        models/<model>/<n>/signatures/<key>.sigstore.json  where there is a key to sign with; the image gets it, too
        models/<model>/aliases/latest.json  last, and never back to a lower version
        in a pod, the record's mirror among the cluster's modelversions, where it knows them
        the image's digest in the ConfigMap colchis-served, where the cluster has that
        annotations of the job that trained, where it is kept
        --record-path  the record's digest, for the rollout to hold
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from colchis_steps._formats.documents import content_digest, converted, decode, encode, now
from colchis_steps._formats.images import Layer
from colchis_steps._formats.keys import (
    manifest_key,
    record_key,
    statement_key,
    version_prefix,
)
from colchis_steps._formats.models import Manifest, Record, tree_digest
from colchis_steps._formats.runs import ImageReport, StepResult
from colchis_steps._formats.steps import before
from colchis_steps._models.aliases import move_latest
from colchis_steps._models.binding import MANIFEST, RECORD, is_external, read_version
from colchis_steps._models.candidates import read_candidate
from colchis_steps._models.kept_job import annotate_job
from colchis_steps._models.listing import list_digest
from colchis_steps._models.mirror import mirror
from colchis_steps._models.provenance import statement
from colchis_steps._models.signing.check import check_signed
from colchis_steps._models.signing.dsse import Signer
from colchis_steps._models.signing.sealing import find_signer, seal
from colchis_steps._models.signing.trust import Trust, read_trust
from colchis_steps._models.verdict import claim_flags, claims_of, evaluation_digest, evaluation_of, passed
from colchis_steps._oci.repository import parse_reference
from colchis_steps._packing.signature import attach_signature
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import boolean, model_name, positive, prog, run_flags
from colchis_steps._step.home import used_image
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._step.text import one_line
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import document_bytes, find_steps, recorded
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import located, portable

NAMED = 253  # characters of who submitted a run, and of its workflow's name, as Kubernetes has names
log = logging.getLogger("colchis")


def named(text: str) -> str:
    """Parse a name that somebody chose: one line of it, of the length that names have."""
    return one_line(text, NAMED)


def submitter(text: str) -> str:
    """Parse the flag: a name, or a workflow's labels as JSON, of which ``colchis.dev/created-by`` is the name.

    Argo 3.7 fills in a label that it found by an expression in the first tasks only; ``{{workflow.labels.json}}`` has
    it at any time.
    """
    if not text.startswith("{"):
        return named(text)
    try:
        return named(msgspec.json.decode(text, type=dict[str, str]).get("colchis.dev/created-by", ""))
    except msgspec.DecodeError as error:
        raise argparse.ArgumentTypeError(f"{text[:256]!r} is neither a name nor labels as JSON") from error


def check_results(results: dict[str, StepResult], run: str) -> None:
    """Raise InputError where a step of the run has failed, or goes on."""
    for step, result in results.items():
        if result.status != "succeeded":
            raise InputError(f"run {run} has no record to earn: {step} is {result.status}; run the pipeline again")


def describe(store: Objects, args: argparse.Namespace, results: dict[str, StepResult]) -> tuple[Record, Manifest]:
    """Return the version's new record, and its manifest.

    Raises:
        InputError: the gate did not pass the model, or what was judged, stored and built is not one thing.
    """
    digest, key = parse_reference(args.image)[1], manifest_key(args.model, args.version)
    content = document_bytes(store, key)
    manifest = decode(Manifest, content, f"{store.url}/{key}")
    candidate = portable(store, read_candidate(store, args.run))
    evaluated = evaluation_of(store, args.run, candidate, claims_of(args))
    if evaluated is None:
        raise InputError(f"run {args.run} was not evaluated; a version is registered after its gate, so evaluate it")
    passed(evaluated, args.run)
    if (candidate.model, candidate.tree, tree_digest(manifest.files)) != (args.model, manifest.tree, manifest.tree):
        raise InputError(
            f"run {args.run} made {candidate.model} with tree {candidate.tree}, but {args.model}/{args.version} "
            f"has {manifest.tree}; name the version that upload gave this run"
        )
    built = results["build_image"].outputs.get("image", "") if "build_image" in results else ""
    if built and parse_reference(built)[1] != digest:
        raise InputError(f"run {args.run} built {built}, not {args.image}; give the reference that build_image gave")
    record = Record(
        model=args.model,
        version=args.version,
        run=args.run,
        image=args.image,
        digest=digest,
        tree=manifest.tree,
        manifest=key,
        manifest_digest=content_digest(content),
        data=candidate.data,
        data_digest=candidate.data_digest,
        code=candidate.code,
        hyperparameters=candidate.hyperparameters,
        metrics=evaluated.metrics,
        verdict=evaluated.verdict,
        frameworks=candidate.frameworks,
        step_images={name: image for name, image in images_of(args).items() if image} | evaluated.images,
        workflow=args.workflow,
        created_by=args.created_by,
        created_at=now(),
        evaluation=evaluation_digest(results["evaluate"].details),
        golden=evaluated.golden,
        baseline=evaluated.baseline_version,
        baseline_digest=evaluated.baseline_digest,
        policy=evaluated.policy,
        format=manifest.format,
        origin=candidate.origin,
    )
    return record, manifest


def images_of(args: argparse.Namespace) -> dict[str, str]:
    """Return the images that the run's steps ran in, as far as they are told."""
    return {"steps": used_image(args.steps_image), "train": used_image(args.train_image)}


def state(store: Objects, record: Record, manifest: Manifest, documents: dict[str, str]) -> bytes:
    """Write the record's statement where there is none: one that was killed before it is finished here. Return it."""
    results, layers = find_steps(store, record.run, before("register")), tuple[Layer, ...]()
    if "build_image" in results and results["build_image"].details:
        layers = converted(results["build_image"].details, ImageReport).layers
    provenance = statement(record, manifest.files, layers, results, documents=documents)
    store.create(statement_key(record.model, record.version), provenance)
    return provenance


def make_signed(
    store: Objects,
    record: Record,
    stated: bytes,
    args: argparse.Namespace,
    *,
    trust: Trust | None,
    signer: Signer | None,
) -> None:
    """Sign what this run states of the version, and hang the signature on its image; another run's has its own.

    Raises:
        InputError: the statement that stands is not this run's, or signatures are asked for and it has none.
        TransientError: the KMS or the registry is away.
    """
    if not trust and not signer:
        return
    found = read_version(store, record.model, record.version)
    if signer and record.run == args.run:
        bundle = seal(store, found, signer=signer, stated=stated)
        attach_signature(record.image, bundle, insecure=args.insecure_registry)
    check_signed(store, found, trust)


def held(found: Record, new: Record) -> Record:
    """Return the record that stands, when it is the new one too.

    Raises:
        InputError: the version is another model's bytes, or the same run tells another story.
    """
    # Another run that made the very same files was given the same version: the first record of it stands.
    same = found.run == new.run and not is_external(found)
    compared = Record.__struct_fields__ if same else ("digest", "tree", "manifest_digest")
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
    p.add_argument("--workflow", type=named, default="", metavar="NAME", help="the workflow that ran")
    p.add_argument(
        "--created-by", type=submitter, default="", metavar="WHO", help="who submitted it, or the workflow's labels"
    )
    p.add_argument("--steps-image", default="", metavar="REF", help="the image of the light steps")
    p.add_argument("--train-image", default="", metavar="REF", help="the image that trained")
    p.add_argument(
        "--insecure-registry",
        type=boolean,
        default=False,
        metavar="BOOL",
        help="true: speak plain HTTP to a registry that is not on this machine (default: false)",
    )
    claim_flags(p)
    p.add_argument("--record-path", type=Path, metavar="FILE", help="gets the record's digest")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Read what the run left, write record and statement, move latest."""
    args = parser().parse_args(argv)
    store = open_store(args.store)
    with recorded(store, args.run, "register", vars(args)) as recorder:
        trust = read_trust()
        signer = find_signer(trust)  # first, as what cannot be signed is better not on record
        results = find_steps(store, args.run, before("register"))
        check_results(results, args.run)
        new, manifest = describe(store, args, results)
        place, key = version_prefix(new.model, new.version), record_key(new.model, new.version)
        record, content = new, encode(new)
        if not store.create(key, content):
            content = document_bytes(store, key)
            record = held(portable(store, decode(Record, content, f"{store.url}/{key}")), new)
            log.info("%s is on record already, by run %s", place, record.run)
        stated = state(store, record, manifest, {RECORD: content_digest(content), MANIFEST: record.manifest_digest})
        make_signed(store, record, stated, args, trust=trust, signer=signer)
        mirror(located(store, record), f"{store.url}/{key}")
        list_digest(record)
        move_latest(store, record)
        annotate_job(record, results.get("train"))
        recorder.outputs = {"record": content_digest(content)}
        write_output(args.record_path, content_digest(content))
        log.info("%s/%d is registered as %s", record.model, record.version, record.digest)


if __name__ == "__main__":
    raise SystemExit(main())
