"""Remove versions that were held for a rollback long enough: what serves them on a cluster.

Reads   models/<model>/aliases/*.json   what is stable or canary stays, and what a route leads to
Writes  --namespace                     Deployments, Services, InferenceServices go; those of others are not looked at
        stdout                          one line for each version that went, or would with --dry-run
"""

import argparse
import logging
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from colchis_steps._formats.documents import Unreadable
from colchis_steps._formats.keys import alias_key
from colchis_steps._formats.models import Alias
from colchis_steps._kube.cluster import Cluster
from colchis_steps._manifests.objects import HELD_SINCE, LABEL_MODEL, LABEL_VERSION, MANAGED, Object, version_name
from colchis_steps._manifests.route import route_name, routed
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import boolean, prog
from colchis_steps._step.main import entrypoint
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document
from colchis_steps._store.opening import open_store

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
KINDS = ("Deployment", "Service", "InferenceService")
log = logging.getLogger("colchis")


def duration(text: str) -> timedelta:
    """Parse a duration such as ``90s``, ``30m``, ``24h`` or ``7d``."""
    if not re.fullmatch(r"[0-9]{1,6}[smhd]", text):
        raise argparse.ArgumentTypeError(f"{text[:128]!r} is not a duration; write for example 30m, 24h or 7d")
    return timedelta(**{UNITS[text[-1]]: int(text[:-1])})


def since(found: Object) -> datetime:
    """Return from when on nobody needed the object: when it was put to rest, or, where it never was, when it was made.

    Raises:
        InputError: somebody wrote something else than a time into the annotation.
    """
    metadata = found["metadata"]
    text = (metadata.get("annotations") or {}).get(HELD_SINCE) or metadata["creationTimestamp"]
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        what = f"annotation {HELD_SINCE} of {found['kind']} {metadata['name']}"
        raise InputError(f"{what} is {text[:128]!r}, which is not a time; remove the annotation") from error


def needed(cluster: Cluster, store: Objects, model: str) -> set[int]:
    """Return the versions of a model that an alias names or a route leads to. Raises Unreadable."""
    aliases = [find_document(store, alias_key(model, name), Alias) for name in ("stable", "canary")]
    routes = [cluster.get(kind, route_name(model)) for kind in filter(cluster.knows, ("HTTPRoute", "GRPCRoute"))]
    return {alias.version for alias in aliases if alias} | {version for route in routes for version in routed(route)}


def stray(cluster: Cluster) -> Iterator[str]:
    """Return the models that have a GRPCRoute and no HTTPRoute: a rollout that died left it."""
    for found in cluster.list("GRPCRoute", MANAGED) if cluster.knows("GRPCRoute") else []:
        model = found["metadata"]["labels"].get(LABEL_MODEL, "")
        if found["metadata"]["name"] == route_name(model) and cluster.get("HTTPRoute", route_name(model)) is None:
            yield model


def expired(cluster: Cluster, store: Objects, before: datetime) -> Iterator[tuple[str, int, datetime]]:
    """Return model, version and time of what rests since before that time; a rollout that died leaves such, too."""
    at_rest: dict[tuple[str, int], datetime] = {}
    for kind in filter(cluster.knows, KINDS):
        for found in cluster.list(kind, MANAGED):
            labels = found["metadata"]["labels"]
            model, number = labels.get(LABEL_MODEL, ""), labels.get(LABEL_VERSION, "")
            if model and number.isdecimal() and found["metadata"]["name"] == version_name(model, int(number)):
                at_rest.setdefault((model, int(number)), since({"kind": kind, **found}))
    keep: dict[str, set[int]] = {}
    for model in sorted({model for model, _ in at_rest}):
        try:
            keep[model] = needed(cluster, store, model)
        except Unreadable as error:
            log.warning("all versions of %s stay, as what it needs is not known: %s", model, error)
    for (model, version), when in sorted(at_rest.items()):
        if model in keep and version not in keep[model] and when <= before:
            yield model, version, when


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.prune"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.prune --store=s3://colchis --hold=24h --dry-run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--store", required=True, metavar="URL", help="s3://bucket/prefix or file:///directory")
    p.add_argument("--hold", type=duration, default=duration("24h"), metavar="TIME", help="default: 24h")
    p.add_argument("--namespace", default="", metavar="NAME", help="default: the context's, or the pod's own")
    p.add_argument(
        "--dry-run",
        type=boolean,
        nargs="?",
        const=True,
        default=False,
        metavar="BOOL",
        help="say what would go, and remove nothing (default: false)",
    )
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Remove what nobody goes back to any more."""
    args = parser().parse_args(argv)
    store, cluster = open_store(args.store), Cluster(args.namespace)
    count = 0
    for model, version, when in expired(cluster, store, datetime.now(UTC) - args.hold):
        if not args.dry_run:
            for kind in filter(cluster.knows, KINDS):
                cluster.discard(kind, version_name(model, version), {LABEL_MODEL: model})
        count += 1
        print(f"{model} {version} {'would go' if args.dry_run else 'removed'}, at rest since {when:%Y-%m-%dT%H:%M:%SZ}")
    for model in stray(cluster):
        if not args.dry_run:
            cluster.discard("GRPCRoute", route_name(model), {LABEL_MODEL: model})
        print(f"{model}: its GRPCRoute {'would go' if args.dry_run else 'removed'}, as it has no HTTPRoute")
    log.info("%d versions %s in namespace %s", count, "would go" if args.dry_run else "removed", cluster.namespace)


if __name__ == "__main__":
    raise SystemExit(main())
