"""The report as one HTML page."""

import functools
import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from colchis_steps._formats.documents import now
from colchis_steps._formats.runs import Evaluation, TrainingReport
from colchis_steps._formats.steps import CHAIN
from colchis_steps._report import chain, charts
from colchis_steps._report import story as _story
from colchis_steps._report.story import Story
from colchis_steps._step.text import printable

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

SAMPLES = 48
UNENCODABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # what no page may hold


def per_class(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Yield each class with rows, recall, precision and F1 (by confusion matrix) and what it is mostly taken for."""
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
        change = None if before is None or not math.isfinite(value - before) else value - before
        yield {"name": name, "value": value, "before": before, "change": change}


def curves(training: TrainingReport) -> "Iterator[tuple[str, Markup]]":
    """Draw each metric over the epochs, of training and of the eval split."""
    from markupsafe import Markup

    names = dict.fromkeys(name for epoch in training.history for part in (epoch.train, epoch.eval) for name in part)
    for name in names:
        series = {
            "train": [(float(epoch.epoch), epoch.train[name]) for epoch in training.history if name in epoch.train],
            "eval": [(float(epoch.epoch), epoch.eval[name]) for epoch in training.history if name in epoch.eval],
        }
        if drawn := charts.curves(name, series):
            yield name, Markup(drawn)  # noqa: S704 - serialised from a tree, which escapes
    rates = [(float(epoch.epoch), epoch.examples_per_second) for epoch in training.history if epoch.examples_per_second]
    if drawn := charts.curves("rows a second", {"train": rates}, from_zero=True):
        yield "rows a second", Markup(drawn)  # noqa: S704 - as above


def pace(training: TrainingReport) -> "tuple[Markup, str] | None":
    """Draw what a step's time goes to; say what would make it shorter."""
    from markupsafe import Markup

    speed = training.speed
    if speed is None or not all(map(math.isfinite, msgspec.structs.astuple(speed))) or speed.step <= 0:
        return None
    parts = {"compute": speed.compute, "all-reduce": speed.all_reduce, "input": speed.input}
    words = f"{1000 * speed.step:.1f} ms a step, {100 * speed.compute / speed.step:.0f} % of it computing."
    if speed.input > 0.3 * speed.step:
        words += " Reading rows is what takes long: use larger shards, or a store that is nearer."
    elif speed.all_reduce > 0.3 * speed.step:
        words += " The sum over the workers is what takes long: raise global_batch, or use fewer workers."
    elif training.workers > 1:
        words += " More workers would pay, as long as each has enough rows of a batch."
    if training.workers > 1:
        share = speed.compute / speed.step
        words += (
            f" Scaling efficiency {100 * share:.0f} %: {training.workers} workers with cores of their own are "
            f"{training.workers * share:.1f} times as fast as one."
        )
    return Markup(charts.shares("What a step's time goes to", parts)), words  # noqa: S704 - serialised from a tree


def bins(minimum: float, maximum: float, count: int) -> list[str]:
    """Name each bin of a histogram by where it begins."""
    return [f"{minimum + (maximum - minimum) * i / count:.3g}" for i in range(count)]


@functools.cache
def _template() -> "jinja2.Template":
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("colchis_steps._report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _story.number, "signed": _story.signed}
    environment.filters |= {"duration": chain.duration, "bytes": size, "markup": Markup}
    return environment.get_template("report.html.j2")


def render(story: Story) -> str:
    """Return the page."""
    sentence = _story.headline(story)
    samples = sorted(story.evaluation.samples, key=lambda s: s.label == s.prediction) if story.evaluation else []
    page: str = _template().render(
        story=story,
        headline=sentence if sentence.split()[0] in CHAIN else sentence[:1].upper() + sentence[1:],
        advice=_story.advice(story),
        tone=_story.tone(story),
        pace=pace(story.training) if story.training else None,
        classes=list(per_class(story.evaluation)) if story.evaluation else [],
        comparison=list(comparison(story.evaluation)) if story.evaluation else [],
        curves=list(curves(story.training)) if story.training else [],
        samples=samples[:SAMPLES],
        charts=charts,
        chain=chain,
        bins=bins,
        made=now(),
    )
    return printable(UNENCODABLE.sub("\N{REPLACEMENT CHARACTER}", page))


def size(count: float) -> str:
    """Return bytes as a person does."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""
