"""Pack a model version as an OCI image: files at /models/1, one layer a file, equal files give an equal digest.

Reads   models/<model>/<n>/manifest.json and its blobs
Writes  builder direct: the image, to a registry or an OCI layout, and its digest and reference as outputs
        builder kaniko: with --context DIR, Dockerfile and context/ for kaniko; without, after kaniko pushed, the same
        outputs, when the image holds the same files
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from colchis_steps._formats import Candidate, Manifest, Record, StepResult, tree_digest
from colchis_steps._image import TAR, Blob
from colchis_steps._kaniko import check, read_digest, write_context
from colchis_steps._oci import Repository, open_repository, parse_reference
from colchis_steps._pack import pack
from colchis_steps._progress import Progress
from colchis_steps._reports import ImageReport, Layer
from colchis_steps._step import InputError, boolean, entrypoint, positive, run_flags, write_output
from colchis_steps._store import Store, find_document, model_name, open_store, read_document, recorded

EMPTY = b"{}"
log = logging.getLogger("colchis")


def annotations(manifest: Manifest, candidate: Candidate | None) -> dict[str, str]:
    """Say which version this is and where it came from; times are the version's own, so equal versions tell the same.

    https://specs.opencontainers.org/image-spec/annotations/
    """
    told = {
        "org.opencontainers.image.title": manifest.model,
        "org.opencontainers.image.version": str(manifest.version),
        "org.opencontainers.image.created": manifest.created_at,
        "dev.colchis.model": manifest.model,
        "dev.colchis.version": str(manifest.version),
        "dev.colchis.run": manifest.run,
        "dev.colchis.tree": manifest.tree,
    }
    if candidate:
        told |= {
            "org.opencontainers.image.revision": candidate.code.revision,
            "dev.colchis.data": candidate.data_digest,
            "dev.colchis.code": candidate.code.digest,
            "dev.colchis.entry": candidate.code.entry,
        }
    return {name: value for name, value in told.items() if value}


def known_layers(store: Store, model: str, version: int) -> dict[tuple[str, str], Layer]:
    """Find the layers of this version's image and of the one before, by path and sha256 of their file."""
    known: dict[tuple[str, str], Layer] = {}
    for number in (version - 1, version):
        manifest = find_document(store, f"models/{model}/{number}/manifest.json", Manifest)
        result = manifest and find_document(store, f"runs/{manifest.run}/build_image.json", StepResult)
        of_it = result and result.inputs.get("version") == str(number)  # a run may have made another version too
        if manifest and result and of_it and result.status == "succeeded" and result.outputs.get("digest"):
            report = msgspec.convert(result.details, ImageReport)
            layers: Mapping[str, Layer] = {layer.path: layer for layer in report.layers if layer.media_type == TAR}
            known |= {(f.path, f.sha256): layers[f.path] for f in manifest.files if f.path in layers}
    return known


def on_record(store: Store, manifest: Manifest, repository: Repository, builder: str) -> str | None:
    """Give the digest of the version's image where it is on record and in the repository: a record never changes.

    Only kaniko gives equal files another digest; what the direct builder packed, it packs to the same digest again.
    """
    record = find_document(store, f"models/{manifest.model}/{manifest.version}/record.json", Record)
    if not record or record.tree != manifest.tree or parse_reference(record.image)[0] != repository.name:
        return None
    made = find_document(store, f"runs/{record.run}/build_image.json", StepResult)
    if builder == "direct" and made and made.inputs.get("builder") == "direct":
        return None
    try:
        content = repository.manifest(record.digest)
    except InputError:  # it was deleted
        return None
    repository.put_manifest(Blob(json.loads(content)["mediaType"], content), str(manifest.version))
    return record.digest


def pushed(repository: Repository, version: int) -> str:
    """Give the digest that kaniko's tag names now; from here on the digest is what counts.

    Raises:
        InputError: there is no such tag.
    """
    digest = repository.tagged(str(version))
    if digest is None:
        raise InputError(f"{repository.name} has no tag {version}; let kaniko build and push it, or see its log")
    return digest


def hold_tag(repository: Repository, manifest: Manifest, *, insecure: bool) -> None:
    """Make sure that kaniko, which overwrites tags, finds none but of an image of these files.

    Raises:
        InputError: the tag is another image's: of another store's version of this model and number, for one.
    """
    if (there := repository.tagged(str(manifest.version))) is None:
        return
    try:
        check(f"{repository.name}@{there}", repository, manifest.files, insecure=insecure)
    except InputError as error:
        raise InputError(
            f"{repository.name} has the tag {manifest.version} for another image ({there}), which may be served; give "
            "another repository, or delete that tag if nothing uses it"
        ) from error


def given(text: str) -> Path | None:
    """Parse an optional path: empty text is none."""
    return Path(text) if text else None


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="colchis_steps.build_image",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.build_image --store=file:///tmp/store --run=r1 \\\n"
        "  --model=digits --version=1 --builder=direct --repository=oci:/tmp/images",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, type=model_name, metavar="NAME", help="the image is REPOSITORY/NAME")
    p.add_argument("--version", required=True, type=positive, metavar="N", help="the version to pack; also the tag")
    p.add_argument("--builder", choices=("direct", "kaniko"), default="direct", help="what packs (default: direct)")
    p.add_argument("--repository", required=True, metavar="REF", help="host:port/path, or oci:/absolute/directory")
    p.add_argument("--context", type=given, metavar="DIR", help="kaniko: write Dockerfile and context/ here, and end")
    p.add_argument(
        "--check", metavar="DIGEST", help="kaniko: sha256:… of what it pushed, or its digest file (default: the tag's)"
    )
    p.add_argument(
        "--insecure-registry",
        type=boolean,
        default=False,
        metavar="BOOL",
        help="true: speak plain HTTP to a registry that is not on this machine (default: false)",
    )
    p.add_argument("--digest-path", type=Path, metavar="PATH", help="write the image's digest here")
    p.add_argument("--image-path", type=Path, metavar="PATH", help="write the image's reference by digest here")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Read the manifest, pack or prepare, write digest and reference."""
    p = parser()
    args = p.parse_args(argv)
    if args.context and args.check:
        p.error("--context is for before kaniko builds and --check for after it pushed; give one of them")
    if args.builder == "direct" and (args.context or args.check):
        p.error("--context and --check are for --builder=kaniko; --builder=direct needs neither")
    store = open_store(args.store)
    known = {} if args.builder == "kaniko" else known_layers(store, args.model, args.version)
    with recorded(store, args.run, "build_image", vars(args)) as recorder:
        manifest = read_document(store, f"models/{args.model}/{args.version}/manifest.json", Manifest)
        if tree_digest(manifest.files) != manifest.tree:
            raise InputError(f"the manifest of {args.model}/{args.version} in {store.url} is altered; upload anew")
        told = annotations(manifest, find_document(store, f"runs/{manifest.run}/model.json", Candidate))
        repository = open_repository(f"{args.repository.rstrip('/')}/{args.model}", insecure=args.insecure_registry)
        if args.context:
            repository.put(lambda: [EMPTY], len(EMPTY))  # a login that may not push ends here, with a sentence
            hold_tag(repository, manifest, insecure=args.insecure_registry)
            write_context(store, manifest.files, told, args.context)
            recorder.message = f"wrote Dockerfile and context to {args.context}; kaniko builds next"
            log.info("%s", recorder.message)
            return
        held = on_record(store, manifest, repository, args.builder)
        if held or args.builder == "kaniko":
            digest = held or (read_digest(args.check) if args.check else pushed(repository, args.version))
            report = check(f"{repository.name}@{digest}", repository, manifest.files, insecure=args.insecure_registry)
        else:
            with Progress("build-image", sum(file.size for file in manifest.files)) as progress:
                report = pack(
                    store,
                    manifest.files,
                    repository,
                    str(args.version),
                    annotations=told,
                    known=known,
                    sent=progress.advance,
                )
        recorder.details = report
        recorder.outputs = {"digest": report.digest, "image": report.image}
        write_output(args.digest_path, report.digest)
        write_output(args.image_path, report.image)
        log.info("%s/%d is %s, %d bytes sent", args.model, args.version, report.image, report.bytes_sent)


if __name__ == "__main__":
    raise SystemExit(main())
