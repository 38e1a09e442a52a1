"""The report as one HTML page."""

import functools
import math
import re
from typing import TYPE_CHECKING, Any

import msgspec

from colchis_steps._formats.documents import now
from colchis_steps._formats.profiles import DataReport
from colchis_steps._formats.runs import Evaluation, TrainingReport
from colchis_steps._formats.steps import CHAIN
from colchis_steps._report import chain, charts, columns, judged, plots
from colchis_steps._report import story as _story
from colchis_steps._report.story import Story
from colchis_steps._step.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import jinja2
    from markupsafe import Markup

SAMPLES = 48
JUDGED = ("comparison", "classes", "judged_curves", "errors", "slices", "samples")
UNENCODABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # what no page may hold


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


def _judged(evaluation: Evaluation | None) -> dict[str, Any]:
    """Return what the page shows of the evaluation."""
    if evaluation is None:
        return {"matrix": None} | {name: [] for name in JUDGED}
    return {
        "comparison": list(judged.comparison(evaluation)),
        "classes": judged.per_class(evaluation),
        "matrix": judged.matrix(evaluation) if evaluation.confusion else None,
        "judged_curves": judged.curves(evaluation),
        "errors": judged.errors(evaluation),
        "slices": judged.by_column(evaluation),
        "samples": sorted(evaluation.samples, key=lambda s: s.label == s.prediction)[:SAMPLES],
    }


def _data(data: DataReport | None) -> dict[str, Any]:
    """Return what the page shows of the data."""
    if data is None:
        return {"cards": [], "columns": [], "drift": []}
    return {"cards": columns.cards(data), "columns": columns.table(data), "drift": columns.drift(data)}


def render(story: Story) -> str:
    """Return the page."""
    sentence = _story.headline(story)
    page: str = _template().render(
        story=story,
        headline=sentence if sentence.split()[0] in CHAIN else sentence[:1].upper() + sentence[1:],
        advice=_story.advice(story),
        tone=_story.tone(story),
        pace=pace(story.training) if story.training else None,
        **_judged(story.evaluation),
        **_data(story.data),
        curves=list(curves(story.training)) if story.training else [],
        charts=charts,
        chain=chain,
        plots=plots,
        shown=judged.SHOWN,
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
