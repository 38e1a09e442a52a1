"""The last part of an evaluation: what the models answered, scored against the labels and judged. It loads no model."""

import argparse
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._data.dataset import DataSet
from colchis_steps._evaluation.ask import ANSWERS, GOLDEN, predictions
from colchis_steps._evaluation.fetch import BASELINE, CANDIDATE, GIVEN, fetched_data
from colchis_steps._evaluation.gate import judge, never_right, rules, verdict
from colchis_steps._evaluation.model import BATCH
from colchis_steps._evaluation.refusal import check_refusal
from colchis_steps._evaluation.samples import Samples
from colchis_steps._evaluation.scores import Scores
from colchis_steps._formats.documents import content_digest, encode
from colchis_steps._formats.evaluation import Answers, Given
from colchis_steps._formats.models import Golden
from colchis_steps._formats.runs import Check, Evaluation
from colchis_steps._step.errors import InputError
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

log = logging.getLogger("colchis")


def judged(args: argparse.Namespace, given: Path, answers: Path) -> tuple[Evaluation, bytes]:
    """Score what the models answered, and judge; return also the golden rows as the store is to have them.

    Raises:
        InputError: a part before has met bad input, or left something else than its answers.
    """
    _check_plain(answers)
    check_refusal(given)
    check_refusal(answers)
    found = read_document(open_store(given.as_uri()), GIVEN, Given)
    answered = read_document(open_store(answers.as_uri()), ANSWERS, Answers)
    golden = read_document(open_store(answers.as_uri()), GOLDEN, Golden)
    if golden.run != args.run:
        raise InputError(f"the golden rows are of run {golden.run[:64]!r}, not of {args.run}; evaluate it again")
    thresholds, data = rules(args.thresholds), fetched_data(given, args.data)
    samples, baseline = Samples(data), None
    shown = [name for name in golden.inputs if name in data.features]
    scores = _scored(data, predictions(answers, CANDIDATE, data), samples, shown)
    missing = answered.missing or "no version of this model is stable yet"
    if answered.missing:
        log.warning("there is nothing to compare with: %s", missing)
    elif found.baseline is not None:
        baseline = _scored(data, predictions(answers, BASELINE, data))
    _, checks = judge(thresholds, scores.flat(), baseline.flat() if baseline else None, args.first_model, missing)
    checks = (*_impossible(scores), *checks, *never_right(scores.slices()))
    rows = encode(golden)
    images = {name: os.environ.get(f"COLCHIS_{name.upper()}_IMAGE", "") for name in ("judge", "ask")}
    details = Evaluation(
        metrics=scores.metrics(),
        slices=scores.slices(),
        baseline_version=found.baseline,
        baseline_metrics=baseline.metrics() if baseline else {},
        classes=data.classes,
        confusion=tuple(tuple(int(count) for count in line) for line in scores.confusion),
        checks=checks,
        samples=samples.chosen(),
        verdict=verdict(checks),
        tree=found.tree,
        data=found.data,
        baseline_digest=found.baseline_digest,
        golden=content_digest(rows),
        thresholds={metric: dict(bounds) for metric, bounds in thresholds.items()},
        first_model=args.first_model,
        images={name: image for name, image in images.items() if image},
    )
    return details, rows


def _check_plain(answers: Path) -> None:
    """Raise InputError where the answers hold a link or a pipe: by none of them is a key to be read."""
    for path in answers.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise InputError(f"the answers hold {path.name[:64]!r}, which is no plain file; evaluate it again")


def _impossible(scores: Scores) -> tuple[Check, ...]:
    """Return a failed check for each way in which the answers are no probabilities."""
    found = []
    if scores.improper:
        reason = f"the model gives rows like {scores.improper}, which are no probabilities"
        found.append(Check("rows are probabilities", passed=False, reason=reason))
    if not scores.finite:
        found.append(Check("probabilities are numbers", passed=False, reason="the model gives NaN or infinity"))
    return tuple(found)


def _scored(
    data: DataSet, predicted: "Array", samples: Samples | None = None, shown: list[str] | None = None
) -> Scores:
    """Count the predictions against the test split's labels; ``samples`` takes some, with the columns ``shown``."""
    scores, at = Scores(data.classes), 0
    for batch in data.batches("test", BATCH):
        labels, probabilities = batch.labels[: batch.total], predicted[at : at + batch.total]
        scores.add(probabilities, labels)
        if samples:
            samples.add({name: batch.features[name][: batch.total] for name in shown or ()}, probabilities, labels)
        at += batch.total
    return scores
