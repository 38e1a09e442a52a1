"""The report as one HTML page."""

import math
from typing import TYPE_CHECKING, Any

import msgspec

from colchis_steps._formats.documents import now
from colchis_steps._formats.profiles import DataReport
from colchis_steps._formats.runs import Evaluation, TrainingReport
from colchis_steps._formats.steps import CHAIN
from colchis_steps._origins.page import finished, template
from colchis_steps._report import chain, charts, columns, intervals, judged, plots
from colchis_steps._report import story as _story
from colchis_steps._report.story import Story

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markupsafe import Markup

JUDGED = ("comparison", "classes", "judged_curves", "errors", "slices", "samples", "intervals")


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


def _judged(evaluation: Evaluation | None) -> dict[str, Any]:
    """Return what the page shows of the evaluation."""
    from markupsafe import Markup

    if evaluation is None:
        return {"matrix": None, "judged_by": ""} | {name: [] for name in JUDGED}
    return {
        "comparison": list(judged.comparison(evaluation)),
        "classes": judged.per_class(evaluation),
        "matrix": judged.matrix(evaluation) if evaluation.confusion else None,
        "judged_curves": judged.curves(evaluation),
        "errors": judged.errors(evaluation),
        "slices": judged.by_column(evaluation),
        "samples": judged.samples(evaluation),
        "judged_by": judged.judged_by(evaluation),
        "intervals": [Markup(one) for one in intervals.pictures(evaluation.changes)],  # noqa: S704 - from a tree
    }


def _data(data: DataReport | None) -> dict[str, Any]:
    """Return what the page shows of the data."""
    if data is None:
        return {"cards": [], "columns": [], "drift": []}
    return {"cards": columns.cards(data), "columns": columns.table(data), "drift": columns.drift(data)}


def contents(story: Story, shown: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the page's sections that there are: where each begins, and what it is called."""
    evaluation = story.evaluation
    what = "Labels" if evaluation and evaluation.task == "multilabel" else "Classes"
    known = (
        ("failure", "What to mend", story.broken),
        ("verdict", "Verdict", evaluation),
        ("ask", "Ask it", story.curl),
        ("changed", "What changed", story.changed is not None),
        ("rollout", "Rollout", story.rollout and (story.rollout.steps or story.rollout.reason)),
        ("classes", what, evaluation and evaluation.classes and shown["classes"]),
        ("curves", "Curves", shown["judged_curves"]),
        ("errors", "Errors", shown["errors"]),
        ("slices", "Parts of the data", shown["slices"]),
        ("samples", "Mistakes", shown["samples"]),
        ("training", "Training", story.training),
        ("data", "Data", story.data),
        ("lineage", "Where it comes from", True),
    )
    return [(place, name) for place, name, there in known if there]


def render(story: Story) -> str:
    """Return the page."""
    sentence, shown = _story.headline(story), _judged(story.evaluation)
    page: str = template("colchis_steps._report", "report.html.j2").render(
        story=story,
        headline=sentence if sentence.split()[0] in CHAIN else sentence[:1].upper() + sentence[1:],
        advice=_story.advice(story),
        tone=_story.tone(story),
        pace=pace(story.training) if story.training else None,
        **shown,
        broken=_story.mending(story),
        gate=_story.gate(story),
        contents=contents(story, shown),
        **_data(story.data),
        curves=list(curves(story.training)) if story.training else [],
        charts=charts,
        chain=chain,
        plots=plots,
        shown=judged.SHOWN,
        made=now(),
    )
    return finished(page)
