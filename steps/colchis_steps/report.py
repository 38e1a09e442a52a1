"""Show a run on one page: what happened, what to do, and everything that was measured; made also when a step failed.

Reads   runs/<run>/*.json, whichever there are; --status and --failures: what the engine says
Writes  --report-path and runs/<run>/report.html: one page without scripts or loads; --summary-path: one sentence
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from colchis_steps._formats.keys import run_key
from colchis_steps._origins.page import UNENCODABLE
from colchis_steps._report import story as _story
from colchis_steps._report.page import render
from colchis_steps._report.story import Story
from colchis_steps._step.errors import StepError
from colchis_steps._step.flags import prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import recorded
from colchis_steps._store.opening import open_store

log = logging.getLogger("colchis")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.report"),
        description=__doc__.partition("\n")[0],
        epilog="example: python -m colchis_steps.report --store=file:///tmp/store --run=try --status=Succeeded "
        "--failures='[]' --report-path=report.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument(
        "--status", required=True, metavar="STATUS", help="how the workflow ended: Succeeded, Failed or Error"
    )
    p.add_argument(
        "--failures", default="", metavar="JSON", help="what failed, as Argo's {{workflow.failures}} tells it"
    )
    p.add_argument("--report-path", type=Path, metavar="FILE", help="where to write the page")
    p.add_argument("--summary-path", type=Path, metavar="FILE", help="where to write one sentence")
    return p


def _read(store: Objects, args: argparse.Namespace) -> Story:
    try:
        return _story.read_story(store, args.run, args.status, args.failures)
    except StepError as error:  # the store is away: what the engine says can still be reported
        story = Story(args.run, args.status, failures=_story.parse_failures(args.failures))
        story.notes.append(str(error))
        return story


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Read what there is, write page and sentence; only a store that takes no page is worth a warning."""
    args = parser().parse_args(argv)
    store = open_store(args.store)
    story = _read(store, args)
    for note in story.notes:
        log.warning("%s", note)
    page, summary = render(story), UNENCODABLE.sub("?", " ".join(_story.headline(story).split()))
    write_output(args.report_path, page)
    write_output(args.summary_path, summary)
    try:
        with recorded(store, args.run, "report", vars(args)) as recorder:
            recorder.outputs["summary"] = summary
            store.write(run_key(args.run, "report.html"), page.encode())
    except StepError as error:
        log.warning("the page is not in the store: %s", error)
    log.info("%s", summary)


if __name__ == "__main__":
    raise SystemExit(main())
