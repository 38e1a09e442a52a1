"""Curves of a classification for the report: ROC and precision by recall of a few classes, and calibration."""

import math

from colchis_steps._evaluation.scores import classification, multilabel
from colchis_steps._evaluation.tasks import Scores
from colchis_steps._formats.runs import Curve

MOST = 4  # classes that are drawn: those that are told apart worst


def curves(scores: Scores) -> tuple[Curve, ...]:
    """Return what there is to draw; nothing where the model gave what is not a number."""
    if not isinstance(scores, classification.Scores | multilabel.Scores) or not scores.finite:
        return ()
    numbers = scores.ranked if isinstance(scores, classification.Scores) else range(len(scores.classes))
    areas = [(one.auc(), number, one) for number, one in zip(numbers, scores.rankings, strict=True)]
    found = list[Curve]()
    for area, number, ranking in sorted((one for one in areas if not math.isnan(one[0])), key=lambda one: one[:2]):
        if len(found) < 2 * MOST and (drawn := ranking.curves()):
            name = scores.classes[number]
            for kind, points, below in (("roc", drawn[0], area), ("pr", drawn[1], ranking.auprc())):
                found.append(Curve(kind, name, _rounded(points.tolist()), round(below, 6)))
    return (*found, *(_calibration(scores) if isinstance(scores, classification.Scores) else ()))


def _calibration(scores: classification.Scores) -> tuple[Curve, ...]:
    """Return accuracy by mean confidence, a point a bin that has rows."""
    points = [[sure / weight, hits / weight] for weight, sure, hits in scores.bins.tolist() if weight]
    return (Curve("calibration", "", _rounded(points), 0.0),) if points else ()


def _rounded(points: list[list[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((round(x, 5), round(y, 5)) for x, y in points)
