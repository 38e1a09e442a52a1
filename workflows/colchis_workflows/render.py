"""``colchis render``: write the templates as plain YAML, a kustomize base and its overlays, the nightly jobs beside it.

Writes  --to DIR  the tree of manifests; the same settings always give the same bytes
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from colchis_workflows import (
    adopt,
    batch,
    build_image,
    evaluate,
    pipeline,
    prepare,
    prune,
    prune_nightly,
    register,
    report,
    retrain,
    rollout,
    train,
    upload,
    validate_data,
)
from colchis_workflows._argo.documents import Object, parse, read
from colchis_workflows._templates.access import accounts
from colchis_workflows._templates.network import network_policies
from colchis_workflows._templates.overlays import IMAGE_FIELDS, IMAGES, KUSTOMIZATION, overlays
from colchis_workflows.settings import Settings

MANIFESTS = Path(__file__).resolve().parents[1] / "manifests"
TEMPLATES = (
    validate_data,
    prepare,
    train,
    evaluate,
    upload,
    build_image,
    register,
    rollout,
    report,
    pipeline,
    adopt,
    batch,
    prune,
    retrain,
    prune_nightly,
)
FIRST = (
    "apiVersion",
    "kind",
    "name",
    "metadata",
    "annotations",
    "labels",
    "template",
    "templateRef",
    "depends",
    "when",
)
LAST = ("templates",)


def objects(settings: Settings) -> list[dict[str, Any]]:
    """Return the WorkflowTemplates and the CronWorkflows, as Argo gets them."""
    return [_ordered(module.template(settings).to_dict()) for module in TEMPLATES]


def manifests(settings: Settings) -> dict[str, str]:
    """Return each file's text by its path below the tree of manifests."""
    templates = objects(settings)
    base = {_file(found): [found] for found in templates if found["kind"] == "WorkflowTemplate"}
    base["accounts.yaml"] = accounts(settings)
    base["network-policies.yaml"] = network_policies(settings)
    base["kustomization.yaml"] = [KUSTOMIZATION | {"resources": sorted(base), "configurations": ["image-fields.yaml"]}]
    base["image-fields.yaml"] = [IMAGE_FIELDS]
    nightly = {_file(found): [found] for found in templates if found["kind"] == "CronWorkflow"}
    nightly["kustomization.yaml"] = [KUSTOMIZATION | {"resources": sorted(nightly)}]
    files = {f"base/{name}": documents for name, documents in base.items()}
    files |= {f"nightly/{name}": documents for name, documents in nightly.items()}
    files |= overlays(settings, templates)
    return {path: _yaml(documents) for path, documents in sorted(files.items())}


def _file(document: dict[str, Any]) -> str:
    return f"{document['metadata']['name']}.yaml"


def default_documents() -> list[Object]:
    """Return the rendered templates of this checkout; where there is none, as in a wheel, render them."""
    if (MANIFESTS / "base").is_dir():
        return read([MANIFESTS / "base"])
    files = manifests(Settings())
    return [d for name, text in files.items() if name.startswith("base/") for d in parse(text, name)]


def _ordered(value: Any) -> Any:
    """Put what a reader looks for first: names before contents, a workflow's templates last."""
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if not isinstance(value, dict):
        return value
    keys = [key for key in FIRST if key in value]
    keys += [key for key in value if key not in FIRST and key not in LAST]
    return {key: _ordered(value[key]) for key in [*keys, *(key for key in LAST if key in value)]}


class _Dumper(yaml.SafeDumper):
    """Writes equal parts out in full: an alias saves bytes, not a reader's time."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        """Never use an alias."""
        return True

    def text(self, data: str) -> yaml.Node:
        """Write lines as lines."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.text)


def _yaml(documents: Sequence[dict[str, Any]]) -> str:
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return f"# Written by `colchis render`; change workflows/colchis_workflows and render again.\n{text}"


def differences(tree: Path, files: dict[str, str]) -> list[str]:
    """Return what is missing, stale or no longer rendered in the tree; samples and the CRD are written by hand."""
    found = (path.relative_to(tree).as_posix() for path in tree.rglob("*.yaml"))
    there = {path for path in found if not path.startswith(("crd/", "samples/"))}
    stale = [path for path in sorted(there & files.keys()) if (tree / path).read_text() != files[path]]
    missing, extra = sorted(files.keys() - there), sorted(there - files.keys())
    return [
        *(f"{path} is missing" for path in missing),
        *(f"{path} is stale" for path in stale),
        *(f"{path} is not rendered" for path in extra),
    ]


def digests(directory: Path) -> tuple[tuple[str, str], ...]:
    """Read the digests that ``make images PUSH=…`` left here, a file for each image.

    Raises ValueError where a digest of an image in the templates is missing, or is not one.
    """
    found = {path.name: path.read_text().strip() for path in sorted(directory.glob("*"))}
    for name in IMAGES:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", found.get(name, "")):
            raise ValueError(f"{directory / name} holds no digest; `make images PUSH=…` writes it")
    return tuple(found.items())


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    default = Settings()
    p = argparse.ArgumentParser(
        prog="colchis render",
        description="Write the templates as plain YAML: a kustomize base and its overlays.",
        epilog="example:\n  colchis render --to build/manifests --registry registry.example/colchis --tag 0.1.0",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--to", type=Path, default=MANIFESTS, metavar="DIR", help="where to (default: workflows/manifests)")
    p.add_argument("--registry", default=default.registry, help="prefix of our images (default: %(default)s)")
    p.add_argument("--tag", default=default.tag, help="tag of our images (default: %(default)s)")
    p.add_argument("--digests", type=Path, metavar="DIR", help="name images by the digests in these files")
    p.add_argument("--check", action="store_true", help="write nothing; end with 1 where a file would change")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Write the tree, or say what would change."""
    p = parser()
    args = p.parse_args(argv)
    try:
        known = digests(args.digests) if args.digests else ()
    except ValueError as error:
        p.error(str(error))
    files = manifests(Settings(registry=args.registry, tag=args.tag, digests=known))
    found = differences(args.to, files)
    if args.check:
        for line in found:
            print(f"{args.to / line}; run `colchis render`", file=sys.stderr)
        return 1 if found else 0
    for path, text in files.items():
        target = args.to / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    print(f"{len(files)} files in {args.to}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
