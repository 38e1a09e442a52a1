"""Pack a model version as an OCI image: files at /models/1, one layer a file, equal files give an equal digest.

Reads   models/<model>/<n>/manifest.json and its blobs, or --from DIRECTORY
Writes  builder direct: the image, to a registry or an OCI layout, and its digest and reference as outputs; with --base,
        a second image that stands on another one
        builder kaniko: with --context DIR, Dockerfile and context/ for kaniko; without, after kaniko pushed, the same
        outputs, when the image holds the same files
"""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from colchis_steps._formats.keys import manifest_key, record_key, result_key
from colchis_steps._formats.models import Candidate, Manifest, Record, tree_digest
from colchis_steps._formats.runs import ImageReport, StepResult
from colchis_steps._models.candidates import find_candidate
from colchis_steps._oci.image import Blob
from colchis_steps._oci.repository import Repository, open_repository, parse_reference
from colchis_steps._packing.base import parse_base, stand_on
from colchis_steps._packing.known import in_cache, in_store, remember
from colchis_steps._packing.pack import Known, pack
from colchis_steps._packing.sources import DirectorySource, StoreSource
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import boolean, model_name, positive, prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._step.progress import Progress
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document, read_document, recorded
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import located
from colchis_steps._tensors.formats import format_of

EMPTY = b"{}"
log = logging.getLogger("colchis")


def on_record(store: Objects, manifest: Manifest, repository: Repository, builder: str) -> str | None:
    """Return the digest of the version's image where it is on record and in the repository: a record never changes.

    Only kaniko gives equal files another digest; what the direct builder packed, it packs to the same digest again.
    """
    record = find_document(store, record_key(manifest.model, manifest.version), Record)
    if not record or record.tree != manifest.tree or parse_reference(record.image)[0] != repository.name:
        return None
    made = find_document(store, result_key(record.run, "build_image"), StepResult)
    if builder == "direct" and made and made.inputs.get("builder") == "direct":
        return None
    try:
        content = repository.manifest(record.digest)
    except InputError:  # it was deleted
        return None
    repository.put_manifest(Blob(json.loads(content)["mediaType"], content), str(manifest.version))
    return record.digest


def pushed(repository: Repository, version: int) -> str:
    """Return the digest that kaniko's tag names now; from here on the digest is what counts.

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
    from colchis_steps._packing.kaniko import check_image_files

    if (there := repository.tagged(str(manifest.version))) is None:
        return
    try:
        check_image_files(f"{repository.name}@{there}", repository, manifest.files, insecure=insecure)
    except InputError as error:
        raise InputError(
            f"{repository.name} has the tag {manifest.version} for another image ({there}), which may be served; give "
            "another repository, or delete that tag if nothing uses it"
        ) from error


def prepare(
    store: Objects, manifest: Manifest, candidate: Candidate | None, repository: Repository, args: argparse.Namespace
) -> None:
    """Write what kaniko builds from, once it is known that it may push and which tag it may take."""
    from colchis_steps._packing.kaniko import read_own, write_context
    from colchis_steps._packing.lineage import annotations

    repository.put(lambda: [EMPTY], len(EMPTY))  # a login that may not push ends here, with a sentence
    hold_tag(repository, manifest, insecure=args.insecure_registry)
    code = candidate.code.uri if candidate else ""
    own = read_own(store, args.dockerfile, code) if args.dockerfile else None
    write_context(store, manifest.files, annotations(manifest, candidate), args.context, own)


def version_of(store: Objects, model: str, version: int) -> Manifest:
    """Read the version's manifest. Raises InputError where it is altered or of no model."""
    manifest = read_document(store, manifest_key(model, version), Manifest)
    if tree_digest(manifest.files) != manifest.tree:
        raise InputError(f"the manifest of {model}/{version} in {store.url} is altered; upload anew")
    format_of([file.path for file in manifest.files], f"{model}/{version} in {store.url}")
    return manifest


def pack_version(
    store: Objects,
    manifest: Manifest,
    candidate: Candidate | None,
    repository: Repository,
    known: Mapping[tuple[str, str], Known],
) -> ImageReport:
    """Pack a version's blobs, and write beside the image where it came from."""
    from colchis_steps._packing.lineage import attach_lineage

    source = StoreSource(store, manifest.files)
    with Progress("build-image", sum(file.size for file in source.files)) as progress:
        report = pack(
            source, repository, str(manifest.version), known=known, kind=manifest.format, sent=progress.advance
        )
    sent = attach_lineage(repository, store, manifest, candidate, report)
    return msgspec.structs.replace(report, bytes_sent=report.bytes_sent + sent)


def pack_directory(directory: Path, version: int, repository: Repository) -> ImageReport:
    """Pack a directory as it stands."""
    source = DirectorySource(directory)
    kind = format_of([file.path for file in source.files], str(directory))
    with Progress("build-image", sum(file.size for file in source.files)) as progress:
        report = pack(source, repository, str(version), known=in_cache(source), kind=kind, sent=progress.advance)
    remember(source, report)
    return report


def pack_over(base: str, report: ImageReport, repository: Repository, version: int, *, insecure: bool) -> str:
    """Pack the image's layers once more, on the base; return the reference. Raises as ``stand_on``."""
    if report.builder != "direct":
        raise InputError(
            f"{report.image} was built by kaniko and stands; put it on {base} by a Dockerfile of your own, or give the "
            "direct builder another repository"
        )
    return stand_on(base, report.layers, repository, str(version), insecure=insecure)


def given(text: str) -> Path | None:
    """Parse an optional path: empty text is none."""
    return Path(text) if text else None


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.build_image"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.build_image --store=file:///tmp/store --run=r1 \\\n"
        "  --model=digits --version=1 --builder=direct --repository=oci:/tmp/images",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, type=model_name, metavar="NAME", help="the image is REPOSITORY/NAME")
    p.add_argument("--version", required=True, type=positive, metavar="N", help="the version to pack; also the tag")
    p.add_argument("--from", type=given, metavar="DIRECTORY", help="direct: pack this model, not the store's version")
    p.add_argument(
        "--base", default="", metavar="IMAGE", help="direct: pack a second image on this one, tag N-<its name>"
    )
    p.add_argument("--builder", choices=("direct", "kaniko"), default="direct", help="what packs (default: direct)")
    p.add_argument("--repository", required=True, metavar="REF", help="host:port/path, or oci:/absolute/directory")
    p.add_argument("--context", type=given, metavar="DIR", help="kaniko: write Dockerfile and context/ here, and end")
    p.add_argument(
        "--dockerfile",
        default="",
        metavar="FILE",
        help="kaniko: your own, /a/path or a key of the store",
    )
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
    p.add_argument("--based-image-path", type=Path, metavar="PATH", help="write that of the image on --base here")
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
    directory: Path | None = vars(args)["from"]
    if args.builder == "kaniko" and (directory or args.base):
        p.error("--from and --base are for --builder=direct; kaniko builds what is in the store, or your Dockerfile")
    if args.builder == "direct" and args.dockerfile:
        p.error("--dockerfile is for --builder=kaniko; --builder=direct runs nothing, but takes --base")
    if args.base:
        parse_base(args.base)
    store = open_store(args.store)
    packs = args.builder == "direct" and not directory
    known = in_store(store, args.model, args.version) if packs else {}  # before this run's report is written over
    with recorded(store, args.run, "build_image", vars(args)) as recorder:
        repository = open_repository(f"{args.repository.rstrip('/')}/{args.model}", insecure=args.insecure_registry)
        if directory:
            report = pack_directory(directory, args.version, repository)
        else:
            manifest = version_of(store, args.model, args.version)
            found = find_candidate(store, manifest.run)
            candidate = located(store, found) if found else None
            if args.context:
                prepare(store, manifest, candidate, repository, args)
                recorder.message = f"wrote Dockerfile and context to {args.context}; kaniko builds next"
                log.info("%s", recorder.message)
                return
            held = on_record(store, manifest, repository, args.builder)
            if held or args.builder == "kaniko":
                from colchis_steps._packing.kaniko import check_image_files, read_digest

                digest = held or (read_digest(args.check) if args.check else pushed(repository, args.version))
                reference = f"{repository.name}@{digest}"
                report = check_image_files(reference, repository, manifest.files, insecure=args.insecure_registry)
            else:
                report = pack_version(store, manifest, candidate, repository, known)
        recorder.details = report
        recorder.outputs = {"digest": report.digest, "image": report.image}
        if args.base:
            based = pack_over(args.base, report, repository, args.version, insecure=args.insecure_registry)
            recorder.outputs["based-image"] = based
            write_output(args.based_image_path, based)
        write_output(args.digest_path, report.digest)
        write_output(args.image_path, report.image)
        log.info("%s/%d is %s, %d bytes sent", args.model, args.version, report.image, report.bytes_sent)


if __name__ == "__main__":
    raise SystemExit(main())
