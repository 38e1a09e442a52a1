"""Show the models of a store, what is served, and go back to the version before.

Reads   models/<model>/…                      versions, records, aliases
Writes  models/<model>/aliases/stable.json    with rollback
        .colchis/serving/config.json          with share: what the local server serves
        stdout                                the table, the record, the endpoint
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from colchis_steps._content.fetching import fetch_files
from colchis_steps._formats.documents import decode, encode
from colchis_steps._formats.keys import MODELS, alias_key, manifest_key, model_of, record_key, result_key
from colchis_steps._formats.models import Alias, Manifest, Record
from colchis_steps._formats.runs import RolloutReport, StepResult
from colchis_steps._kube.cluster import Cluster
from colchis_steps._models.aliases import stable
from colchis_steps._rollout import flags, local
from colchis_steps._rollout.local import serving
from colchis_steps._rollout.rollback import roll_back
from colchis_steps._rollout.targets.table import TARGETS
from colchis_steps._rollout.versions import Place
from colchis_steps._serving.client import Away, call
from colchis_steps._serving.daemon import CONFIG, endpoint_now, port_for, running, start, stop
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import model_version, positive, prog
from colchis_steps._step.home import default_store
from colchis_steps._step.main import entrypoint
from colchis_steps._step.progress import Progress
from colchis_steps._step.text import printable
from colchis_steps._store.api import NotFound, Objects
from colchis_steps._store.documents import document_bytes, find_document, legible_document, recorded
from colchis_steps._store.opening import open_store
from colchis_steps._store.uris import located

log = logging.getLogger("colchis")


@dataclass(frozen=True)
class Row:
    """A model in the table, as text; a dash stands for what is not there."""

    model: str
    latest: str
    stable: str
    canary: str
    verdict: str
    image: str
    where: str
    endpoint: str
    up: str


def models(store: Objects) -> list[str]:
    """Return the names of the models that have a version or an alias."""
    return sorted({model for key in store.keys(MODELS) if (model := model_of(key))})


def row(store: Objects, model: str) -> Row:
    """Return a model's newest and stable versions, and whether the stable one answers now; what is illegible is "-"."""
    aliases = ("latest", "stable", "canary")
    latest, stable, canary = (legible_document(store, alias_key(model, alias), Alias) for alias in aliases)
    shown = stable or latest
    record = legible_document(store, record_key(model, shown.version), Record) if shown else None
    rollout = legible_document(store, result_key(stable.run, "rollout"), StepResult) if stable and stable.run else None
    endpoint = endpoint_now(serving(), stable.endpoint) if stable and stable.endpoint else ""
    return Row(
        model=model,
        latest=str(latest.version) if latest else "-",
        stable=str(stable.version) if stable else "-",
        canary=f"{canary.version} ({canary.weight or 0} %)" if canary else "-",
        verdict=judged(record) if record else "-",
        image=record.digest.removeprefix("sha256:")[:12] if record else "-",
        where=" ".join(place_of(rollout)) if stable else "-",
        endpoint=endpoint or "-",
        up=("yes" if answers(endpoint, stable.version) else "no") if stable and endpoint else "-",
    )


def judged(record: Record) -> str:
    """Return the gate's verdict with the metric that says most: accuracy, or else the first, which is the task's."""
    name = "accuracy" if "accuracy" in record.metrics else next(iter(record.metrics), "")
    return f"{record.verdict}, {name} {record.metrics[name]:.3f}" if name else record.verdict


def answers(endpoint: str, version: int) -> bool:
    """Return whether this version is available at the endpoint."""
    try:
        status, found = call(f"{endpoint}/versions/{version}", timeout=2)
    except Away:
        return False
    try:
        return status == 200 and bool(found["model_version_status"][0]["state"] == "AVAILABLE")
    except (LookupError, TypeError):  # something else answers there
        return False


def table(rows: Sequence[Row]) -> None:
    """Print the rows: as a table on a terminal, else as columns that ``awk`` can take apart at two spaces."""
    names, cells = list(Row.__dataclass_fields__), [[printable(cell) for cell in astuple(found)] for found in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(*(name.capitalize() for name in names), box=None, header_style="bold")
        for found in cells:
            drawn.add_row(*map(Text, found))
        Console().print(drawn)
        return
    lines = [[name.upper() for name in names], *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def preferred(store: Objects, model: str) -> int:
    """Return the stable version, or else the latest.

    Raises:
        InputError: there is neither.
    """
    alias = find_document(store, alias_key(model, "stable"), Alias)
    alias = alias or find_document(store, alias_key(model, "latest"), Alias)
    if alias is None:
        raise InputError(f"{store.url} has no model {model}; see: colchis models list")
    return alias.version


def pull(store: Objects, model: str, version: int | None, directory: Path) -> None:
    """Fetch a version's files, verified; what the directory has of them is not fetched again."""
    version = version or preferred(store, model)
    manifest = find_document(store, manifest_key(model, version), Manifest)
    if manifest is None:
        raise InputError(f"{store.url} has no version {version} of {model}; see: colchis models list")
    size = sum(file.size for file in manifest.files)
    with Progress("pull", size) as bar:
        fetch_files(store, manifest.files, directory, bar.advance)
    log.info("version %d of %s is in %s: %d files, %d bytes", version, model, directory, len(manifest.files), size)


def show(store: Objects, model: str, version: int | None) -> None:
    """Print the record of a version: the one given, the stable one, or the newest."""
    version = version or preferred(store, model)
    try:
        content = document_bytes(store, key := record_key(model, version))
    except NotFound as error:
        raise InputError(f"{store.url} has no version {version} of {model}; see: colchis models list") from error
    record = located(store, decode(Record, content, f"{store.url}/{key}"))
    print(printable(msgspec.json.format(encode(record, content), indent=2).decode()))


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.models"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.models rollback digits",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--store", metavar="URL", help="default: the local one, below $COLCHIS_HOME or ./.colchis")
    verbs = p.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", parents=[where], help="the models, their versions and whether they answer")
    shown = verbs.add_parser("show", parents=[where], help="where a version came from, as JSON")
    shown.add_argument("model", metavar="MODEL")
    shown.add_argument("version", type=positive, nargs="?", metavar="VERSION", help="default: stable, or else latest")
    pulled = verbs.add_parser("pull", parents=[where], help="fetch a version's files, verified; run again to go on")
    pulled.add_argument(
        "model", type=model_version, metavar="MODEL[:N]", help="default version: stable, or else latest"
    )
    pulled.add_argument("--to", required=True, type=Path, metavar="DIRECTORY", help="where the files go")
    undo = verbs.add_parser("rollback", parents=[where], help="serve the version before the stable one again")
    undo.add_argument("model", metavar="MODEL")
    undo.add_argument("--to", type=positive, metavar="VERSION", help="go to this one instead")
    undo.add_argument(
        "--target", choices=["local", *TARGETS], help="where it is served (default: where it was rolled out last)"
    )
    undo.add_argument("--namespace", default="", metavar="NAME", help="on a cluster; default: the context's")
    shared = verbs.add_parser("share", parents=[where], help="serve versions side by side here, until the next rollout")
    shared.add_argument("model", metavar="MODEL")
    shared.add_argument("split", type=flags.split, metavar="N=PERCENT,…", help="such as 1=50,2=50")
    shared.add_argument("--headers", type=flags.headers, default=(), metavar="NAME: VALUE=N;…", help="by header, first")
    started = verbs.add_parser("start", help="start the local server again, with the models that it served last")
    started.add_argument("--port", type=positive, metavar="N", help="default: $COLCHIS_PORT, the last one, or 8501")
    verbs.add_parser("stop", help="stop the local server; aliases stay as they are")
    return p


def start_server(port: int | None) -> None:
    """Start the local server, or say where it runs."""
    if not (serving() / CONFIG).exists():
        raise InputError(f"nothing was served from {serving()} yet; serve a model first: colchis run")
    found = running(serving())
    if found and port not in {None, found.port}:
        raise InputError(f"the local server runs on port {found.port}; stop it first: colchis models stop")
    print((found or start(serving(), port_for(serving(), port))).url)


def place_of(rollout: StepResult | None) -> list[str]:
    """Return the target and, on a cluster, the namespace of a version, as the rollout that put it there recorded."""
    details = rollout.details if rollout else {}
    return [str(details.get("target", "local")), *([str(details["namespace"])] if details.get("namespace") else [])]


def back(store: Objects, args: argparse.Namespace, run: str) -> RolloutReport:
    """Go back to the version before, or to ``--to``."""
    alias = None if args.target else stable(store, args.model)
    rollout = find_document(store, result_key(alias.run, "rollout"), StepResult) if alias and alias.run else None
    target, *namespace = [args.target] if args.target else place_of(rollout)
    if target == "local":
        return local.roll_back(store, run, args.model, withdrawn=None, to=args.to)
    place = Place(Cluster(args.namespace or "".join(namespace)), TARGETS[target], store, args.model)
    return roll_back(place, run, withdrawn=None, to=args.to)


def of_store(store: Objects, args: argparse.Namespace) -> None:
    """Do what the verbs do that take a store."""
    if args.verb == "share":
        return print(local.share(store, args.model, args.split or {}, args.headers))
    if args.verb == "show":
        return show(store, args.model, args.version)
    if args.verb == "pull":
        model, version = args.model
        return pull(store, model, version, args.to)
    if args.verb == "rollback":
        run = f"rollback-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        with recorded(store, run, "rollout", vars(args)) as record:
            report = back(store, args, run)
            record.details, record.verdict, record.outputs = report, "pass", {"endpoint": report.endpoint}
        log.info(
            "version %s of %s answers again after %.1f s (%.1f s to ready, %.1f s to move)",
            report.stable,
            args.model,
            report.seconds_to_ready + report.seconds_to_move,
            report.seconds_to_ready,
            report.seconds_to_move,
        )
        return print(report.endpoint)
    if not (found := models(store)):
        return log.info("%s has no models yet; make one with: colchis run", store.url)
    return table([row(store, model) for model in found])


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Do what the verb says."""
    args = parser().parse_args((sys.argv[1:] if argv is None else argv) or ["list"])
    if args.verb == "start":
        return start_server(args.port)
    if args.verb == "stop":
        stopped = stop(serving())
        return log.info("stopped serving on %s", stopped.url) if stopped else log.info("no local server runs")
    return of_store(open_store(args.store or default_store()), args)


if __name__ == "__main__":
    raise SystemExit(main())
