"""What the page shows of an evaluation, task by task: tables and charts that stay right for 2 to 200 classes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from colchis_steps._formats.runs import Curve, Evaluation
from colchis_steps._origins.judging import bounds, range_of
from colchis_steps._origins.judging import judged as meaning
from colchis_steps._report import charts, plots

if TYPE_CHECKING:
    from markupsafe import Markup

SAMPLES = 48
SHOWN = 20  # classes, labels or slices that stand in the open; the others are folded
CURVES = {
    "roc": ("ROC", ("false positives", "true positives"), True),
    "pr": ("Precision by recall", ("recall", "precision"), False),
    "calibration": ("Calibration", ("how sure", "how often right"), True),
}


def comparison(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Set each metric beside the baseline's, with what a test tells of the change; those of one's own are marked."""
    own = set(evaluation.own.names) if evaluation.own else set()
    tested = {change.metric: change for change in evaluation.changes}
    for name, value in evaluation.metrics.items():
        before = evaluation.baseline_metrics.get(name)
        change = None if before is None or not math.isfinite(value - before) else value - before
        test = tested.get(name)
        word, tone = meaning(name, change, test) if change is not None else ("", "")
        yield {
            "name": name,
            "value": value,
            "range": range_of(evaluation.intervals.get(name)),
            "before": before,
            "change": change,
            "bounds": bounds(test.low, test.high, relative=test.relative) if test else "",
            "word": word,
            "tone": tone,
            "own": name in own,
        }


def judged_by(evaluation: Evaluation) -> str:
    """Return on what the verdict rests, in words."""
    rows = f"on {evaluation.rows:,} rows of the test split" if evaluation.rows else "on the test split"
    against = (
        "no version was stable"
        if evaluation.baseline_version is None
        else f"against version {evaluation.baseline_version}"
    )
    weight = f"weighed by {evaluation.weight}" if evaluation.weight else ""
    policy = f"by the model's policy {evaluation.policy}" if evaluation.policy else ""
    return ", ".join(filter(None, [rows, against, weight, policy]))


def samples(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return the predictions that were kept, mistakes first."""
    found = [{"sample": one, "right": one.label == one.prediction} for one in evaluation.samples]
    return sorted(found, key=lambda one: bool(one["right"]))[:SAMPLES]


def per_class(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return each class or label with rows, recall, precision and F1, and what it is mostly taken for.

    In their order where they are few, else the worst ones first.
    """
    found = list(_of_matrix(evaluation) if evaluation.confusion else _of_slices(evaluation))
    if len(found) > SHOWN:
        found.sort(key=lambda row: (row["f1"] is None, row["f1"] or 0.0, row["name"]))
    return found


def _of_matrix(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
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
            "auc": None,
            "lost": bool(rows and not right),
            "taken_for": f"{evaluation.classes[worst[1]]} ({worst[0]})" if worst else "",
        }


def _of_slices(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for name in evaluation.classes:
        found = evaluation.slices.get(f"label={name}", {})
        told = {key: _known(found.get(key)) for key in ("recall", "precision", "f1", "auc")}
        rows = int(found.get("support", 0))
        yield {"name": name, "rows": rows, "lost": bool(rows and told["recall"] == 0), "taken_for": "", **told}


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def folded(evaluation: Evaluation) -> tuple[Sequence[str], Sequence[Sequence[int]], int]:
    """Return a confusion matrix that can be read: the classes with most mistakes, and the others as one.

    The third is how many are in that one; 0 where all are shown.
    """
    names, counts = evaluation.classes, evaluation.confusion
    if len(names) <= SHOWN + 4:
        return names, counts, 0
    wrong = [sum(row) + sum(other[i] for other in counts) - 2 * row[i] for i, row in enumerate(counts)]
    chosen = sorted(sorted(range(len(names)), key=lambda i: -wrong[i])[:SHOWN])
    place = {old: new for new, old in enumerate(chosen)}
    matrix = [[0] * (SHOWN + 1) for _ in range(SHOWN + 1)]
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            matrix[place.get(i, SHOWN)][place.get(j, SHOWN)] += count
    rest = len(names) - SHOWN
    return [*(names[i] for i in chosen), f"{rest} others"], matrix, rest


def mixed_up(evaluation: Evaluation) -> list[tuple[str, str, int]]:
    """Return which classes are taken for which most often, where the matrix is folded: label, prediction, rows."""
    pairs = [
        (count, i, j) for i, row in enumerate(evaluation.confusion) for j, count in enumerate(row) if i != j and count
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    return [(evaluation.classes[i], evaluation.classes[j], count) for count, i, j in pairs[:SHOWN]]


def curves(evaluation: Evaluation) -> "list[dict[str, Any]]":
    """Draw ROC, precision by recall and calibration, with a legend of classes and areas."""
    from markupsafe import Markup

    found = []
    for kind, (title, names, diagonal) in CURVES.items():
        drawn = [curve for curve in evaluation.curves if curve.kind == kind and curve.points][: plots.COLOURS]
        if drawn:
            series = {curve.name or "model": curve.points for curve in drawn}
            chart = Markup(plots.lines(title, series, names, diagonal=diagonal))  # noqa: S704 - from a tree
            found.append({"title": title, "chart": chart, "legend": _legend(drawn)})
    return found


def _legend(drawn: Sequence[Curve]) -> list[tuple[str, str]]:
    return [(curve.name, f"{curve.area:.3f}") for curve in drawn if curve.name]


def errors(evaluation: Evaluation) -> "list[tuple[str, Markup, Markup]]":
    """Draw predicted against true, and the error by prediction, of each target."""
    from markupsafe import Markup

    return [
        (one.target, Markup(plots.plane(one)), Markup(plots.residuals(one)))  # noqa: S704 - from a tree
        for one in evaluation.residuals
    ]


def by_column(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return the slices by columns of the data, and by targets: a table each, with the figures that they share."""
    groups: dict[str, list[tuple[str, Mapping[str, float]]]] = {}
    for name, values in evaluation.slices.items():
        column, _, value = name.partition("=")
        if column != "label":
            groups.setdefault(column, []).append((value, values))
    found = []
    for column, rows in groups.items():
        names = [name for name in rows[0][1] if name != "support"][:5]
        found.append({"column": column, "names": names, "rows": rows, "has_rows": "support" in rows[0][1]})
    return found


def matrix(evaluation: Evaluation) -> "dict[str, Any]":
    """Draw the confusion matrix, folded where it has many classes."""
    from markupsafe import Markup

    names, counts, rest = folded(evaluation)
    return {
        "chart": Markup(charts.confusion(names, counts)),  # noqa: S704 - from a tree
        "rest": rest,
        "pairs": mixed_up(evaluation) if rest else [],
    }
