"""Show a run on one page: what happened, what to do, and everything that was measured; made also when a step failed.

Reads   runs/<run>/*.json, whichever there are; --status and --failures: what the engine says
Writes  --report-path and runs/<run>/report.html: one page without scripts or loads; --summary-path: one sentence
"""

import argparse
import functools
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps import _chain, _charts, _story
from colchis_steps._chain import CHAIN
from colchis_steps._formats import now
from colchis_steps._reports import Evaluation, TrainingReport
from colchis_steps._step import StepError, entrypoint, run_flags, write_output
from colchis_steps._store import Store, open_store, recorded
from colchis_steps._story import Story

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

SAMPLES = 48
UNENCODABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # what no page may hold
log = logging.getLogger("colchis")


def per_class(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Give each class its rows, recall, precision and F1 (by the confusion matrix), and what it is mostly taken for."""
    predicted = [sum(column) for column in zip(*evaluation.confusion, strict=True)]
    for i, (name, row) in enumerate(zip(evaluation.classes, evaluation.confusion, strict=True)):
        right, rows = row[i], sum(row)
        mistakes = [(count, j) for j, count in enumerate(row) if j != i and count]
        worst = max(mistakes, key=lambda mistake: (mistake[0], -mistake[1]), default=None)
        yield {
            "name": name,
            "rows": rows,
            "recall": right / rows if rows else None,
            "precision": right / predicted[i] if predicted[i] else None,
            "f1": 2 * right / (rows + predicted[i]) if rows + predicted[i] else None,
            "taken_for": f"{evaluation.classes[worst[1]]} ({worst[0]})" if worst else "",
        }


def comparison(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Set each metric beside the baseline's."""
    for name, value in evaluation.metrics.items():
        before = evaluation.baseline_metrics.get(name)
        yield {"name": name, "value": value, "before": before, "change": None if before is None else value - before}


def curves(training: TrainingReport) -> "Iterator[tuple[str, Markup]]":
    """Draw each metric over the epochs, of training and of the eval split."""
    from markupsafe import Markup

    names = dict.fromkeys(name for epoch in training.history for part in (epoch.train, epoch.eval) for name in part)
    for name in names:
        series = {
            "train": [(float(epoch.epoch), epoch.train[name]) for epoch in training.history if name in epoch.train],
            "eval": [(float(epoch.epoch), epoch.eval[name]) for epoch in training.history if name in epoch.eval],
        }
        if drawn := _charts.curves(name, series):
            yield name, Markup(drawn)  # noqa: S704 - serialised from a tree, which escapes
    rates = [(float(epoch.epoch), epoch.examples_per_second) for epoch in training.history if epoch.examples_per_second]
    if drawn := _charts.curves("rows a second", {"train": rates}, from_zero=True):
        yield "rows a second", Markup(drawn)  # noqa: S704 - as above


def pace(training: TrainingReport) -> "tuple[Markup, str] | None":
    """Draw what a step's time goes to; say what would make it shorter."""
    from markupsafe import Markup

    speed = training.speed
    if speed is None or speed.step <= 0:
        return None
    parts = {"compute": speed.compute, "all-reduce": speed.all_reduce, "input": speed.input}
    told = f"{1000 * speed.step:.1f} ms a step, {100 * speed.compute / speed.step:.0f} % of it computing."
    if speed.input > 0.3 * speed.step:
        told += " Reading rows is what takes long: use larger shards, or a store that is nearer."
    elif speed.all_reduce > 0.3 * speed.step:
        told += " The sum over the workers is what takes long: raise global_batch, or use fewer workers."
    elif training.workers > 1:
        told += " More workers would pay, as long as each has enough rows of a batch."
    if training.workers > 1:
        share = speed.compute / speed.step
        told += (
            f" Scaling efficiency {100 * share:.0f} %: {training.workers} workers with cores of their own are "
            f"{training.workers * share:.1f} times as fast as one."
        )
    return Markup(_charts.shares("What a step's time goes to", parts)), told  # noqa: S704 - serialised from a tree


def bins(minimum: float, maximum: float, count: int) -> list[str]:
    """Name each bin of a histogram by where it begins."""
    return [f"{minimum + (maximum - minimum) * i / count:.3g}" for i in range(count)]


@functools.cache
def _template() -> "jinja2.Template":
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("colchis_steps", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _story.number, "duration": _chain.duration, "bytes": size, "markup": Markup}
    return environment.get_template("report.html.j2")


def render(story: Story) -> str:
    """Give the page."""
    told = _story.headline(story)
    samples = sorted(story.evaluation.samples, key=lambda s: s.label == s.prediction) if story.evaluation else []
    page = _template().render(
        story=story,
        headline=told if told.split()[0] in CHAIN else told[:1].upper() + told[1:],
        advice=_story.advice(story),
        tone=_story.tone(story),
        pace=pace(story.training) if story.training else None,
        classes=list(per_class(story.evaluation)) if story.evaluation else [],
        comparison=list(comparison(story.evaluation)) if story.evaluation else [],
        curves=list(curves(story.training)) if story.training else [],
        samples=samples[:SAMPLES],
        charts=_charts,
        chain=_chain,
        bins=bins,
        made=now(),
    )
    return UNENCODABLE.sub("\N{REPLACEMENT CHARACTER}", page)


def size(count: float) -> str:
    """Tell bytes as a person does."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="colchis_steps.report",
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


def _read(store: Store, args: argparse.Namespace) -> Story:
    try:
        return _story.read_story(store, args.run, args.status, args.failures)
    except StepError as error:  # the store is away: what the engine says can still be told
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
            store.write(f"runs/{args.run}/report.html", page.encode())
    except StepError as error:
        log.warning("the page is not in the store: %s", error)
    log.info("%s", summary)


if __name__ == "__main__":
    raise SystemExit(main())
