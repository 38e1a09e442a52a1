"""The last part of an evaluation: what the models answered, scored against the labels and judged. It loads no model."""

import argparse
import logging
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from colchis_steps._data.dataset import DataSet
from colchis_steps._evaluation.ask import ANSWERS, GOLDEN, predictions
from colchis_steps._evaluation.clients import keep_working
from colchis_steps._evaluation.curves import curves
from colchis_steps._evaluation.errors import Errors
from colchis_steps._evaluation.fetch import BASELINE, CANDIDATE, GIVEN, fetched_data
from colchis_steps._evaluation.keeping import Kept
from colchis_steps._evaluation.known import SCORING
from colchis_steps._evaluation.own import read_measured
from colchis_steps._evaluation.pairs import Pair
from colchis_steps._evaluation.policies import is_stated
from colchis_steps._evaluation.samples import Samples
from colchis_steps._evaluation.scores import classification
from colchis_steps._evaluation.scoring import Figures, score
from colchis_steps._evaluation.slicing import cuts
from colchis_steps._evaluation.statistics.bootstrap import seed
from colchis_steps._evaluation.tasks import OUTPUTS, targets
from colchis_steps._evaluation.units import Units
from colchis_steps._evaluation.unjudged import unjudged
from colchis_steps._evaluation.values import intervals
from colchis_steps._evaluation.weighing import Task, constant, weighed
from colchis_steps._formats.documents import content_digest, encode
from colchis_steps._formats.evaluation import Answers, Given
from colchis_steps._formats.models import Golden
from colchis_steps._formats.policy import Policy
from colchis_steps._formats.runs import Curve, Evaluation, OwnMetrics, Residuals, Sample
from colchis_steps._models.policy import Demands
from colchis_steps._step.errors import InputError
from colchis_steps._step.home import used_image
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import read_document
from colchis_steps._store.opening import open_store
from colchis_steps._store.refusal import check_refusal

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

log = logging.getLogger("colchis")


@dataclass(frozen=True)
class Drawn:
    """What the report shows of the candidate beside its figures; ``results`` is the digest of those by row."""

    confusion: tuple[tuple[int, ...], ...] = ()
    samples: tuple[Sample, ...] = ()
    curves: tuple[Curve, ...] = ()
    residuals: tuple[Residuals, ...] = ()
    results: str = ""


@dataclass(frozen=True)
class Scored:
    """What the models did: ``baseline`` and ``pair`` are None where there is none.

    ``alone`` has the candidate in both places; None where there are no figures.
    """

    candidate: Figures
    baseline: Figures | None = None
    drawn: Drawn = Drawn()
    alone: Pair | None = None
    pair: Pair | None = None


class Handed(NamedTuple):
    """What the parts before hand on."""

    given: Given
    answers: Answers
    golden: Golden


def judged(args: argparse.Namespace, store: Objects) -> tuple[Evaluation, bytes]:
    """Score what the models answered, keep it row by row, and judge; return also the golden rows as they are to be.

    Raises:
        InputError: a part before has met bad input, or left something else than its answers.
    """
    for directory in (args.answers, args.measured):
        _check_plain(directory)
    for directory in (args.given, args.answers, args.measured):
        check_refusal(directory)
    parts = _handed(args)
    found, answered = parts.given, parts.answers
    if not found.data:
        return unjudged(found, parts.golden)
    data = fetched_data(args.given, args.data)
    demands = Demands(found.policy or Policy(), found.policy_digest)
    if answered.missing:
        log.warning("there is nothing to compare with: %s", answered.missing)
    scored, own = _scored(args, data, parts, store), None
    candidate, baseline, drawn = scored.candidate, scored.baseline, scored.drawn
    if args.metrics:
        candidate, baseline, own = _with_own(args, found, candidate, baseline)
    task = Task(data.task.kind, data.classes, data.rows("test"))
    models, results = (candidate, baseline), (scored.alone, scored.pair)
    said = [predictions(args.answers, CANDIDATE, i, data) for i in range(len(answered.outputs))]
    served = found.known.signature if found.known else answered.baseline_signature
    more = (
        *constant(said, stated=is_stated(args, demands)),
        *keep_working(answered.signature, served, found.baseline, demands.policy.signature),
    )
    held = weighed(args, demands, task, models, results, missing=answered.missing, costs=answered.costs, more=more)
    rows = encode(parts.golden)
    images = {name: used_image(os.environ.get(f"COLCHIS_{name.upper()}_IMAGE", "")) for name in ("judge", "ask")}
    details = Evaluation(
        metrics=dict(candidate.metrics),
        slices={name: dict(values) for name, values in candidate.slices.items()},
        baseline_version=found.baseline,
        baseline_metrics=dict(baseline.metrics) if baseline else {},
        classes=data.classes,
        confusion=drawn.confusion,
        checks=held.checks,
        samples=drawn.samples,
        verdict=held.verdict,
        tree=found.tree,
        data=found.data,
        baseline_digest=found.baseline_digest,
        golden=content_digest(rows),
        thresholds={metric: dict(bounds) for metric, bounds in held.thresholds.items()},
        first_model=held.first_model,
        images={name: image for name, image in images.items() if image},
        task=data.task.kind,
        rows=data.rows("test"),
        weight=data.weight,
        targets=targets(data) if data.task.kind == "regression" else (),
        curves=drawn.curves,
        residuals=drawn.residuals,
        own=own,
        results=drawn.results,
        scoring=SCORING,
        baseline_run=found.known.run if found.known else "",
        changes=held.changes,
        intervals=intervals(scored.alone, candidate.metrics) if scored.alone else {},
        policy=found.policy_digest,
        costs=answered.costs,
        signature=answered.signature,
    )
    return details, rows


def _handed(args: argparse.Namespace) -> Handed:
    """Read what the parts before hand on. Raises InputError where the golden rows are another run's."""
    given, answers = open_store(args.given.as_uri()), open_store(args.answers.as_uri())
    golden = read_document(answers, GOLDEN, Golden)
    if golden.run != args.run:
        raise InputError(f"the golden rows are of run {golden.run[:64]!r}, not of {args.run}; evaluate it again")
    return Handed(read_document(given, GIVEN, Given), read_document(answers, ANSWERS, Answers), golden)


def _check_plain(answers: Path) -> None:
    """Raise InputError where the answers hold a link or a pipe: by none of them is a key to be read."""
    for path in answers.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise InputError(f"the answers hold {path.name[:64]!r}, which is no plain file; evaluate it again")


def _scored(args: argparse.Namespace, data: DataSet, handed: Handed, store: Objects) -> Scored:
    """Score candidate and baseline; there are no figures of a task that is not known."""
    import numpy as np

    found = handed.given
    has_baseline = found.baseline is not None and not handed.answers.missing
    known = Figures(found.known.metrics, found.known.slices) if found.known else None
    if data.task.kind not in OUTPUTS:
        return Scored(Figures({}, {}), known or (Figures({}, {}) if has_baseline else None))
    parts, predicted = cuts(data), predictions(args.answers, CANDIDATE, 0, data)
    shown = frozenset(name for name in handed.golden.inputs if name in data.features)
    samples, errors, units = Samples(data, shown), Errors(targets(data), predicted), Units(data, parts)
    is_regression = data.task.kind == "regression"
    with tempfile.TemporaryDirectory() as directory:
        kept = Kept(data, Path(directory) / "results.npy")
        watchers = (samples, kept, units, errors) if is_regression else (samples, kept, units)
        candidate, scores = score(data, predicted, parts, watchers)
        stored, results = kept.store(store, found.tree, found.data), np.load(kept.path)
        before = np.load(args.given / f"{BASELINE}.npy") if found.known else None
        if known is None and has_baseline:
            earlier = Kept(data, Path(directory) / f"{BASELINE}.npy")
            known, _ = score(data, predictions(args.answers, BASELINE, 0, data), parts, [earlier])
            before = np.load(earlier.path)
    begin, units_of = seed(found.tree, found.baseline_tree), (units.groups, units.parts)
    alone, pair = Pair(data.task.kind, data.classes, results, results, begin, *units_of), None
    if before is not None:
        if (before.shape, before.dtype) != (results.shape, results.dtype):
            raise InputError(f"the results by row of version {found.baseline} are of another form; evaluate it again")
        same = found.tree == found.baseline_tree
        pair = Pair(data.task.kind, data.classes, results, before, begin, *units_of, same)
    confusion = (
        tuple(tuple(map(int, line)) for line in scores.confusion) if isinstance(scores, classification.Scores) else ()
    )
    residuals = errors.told() if is_regression else ()
    drawn = Drawn(confusion, samples.chosen(), curves(scores), residuals, stored)
    return Scored(candidate, known, drawn, alone, pair)


def _with_own(
    args: argparse.Namespace, found: Given, candidate: Figures, baseline: Figures | None
) -> tuple[Figures, Figures | None, OwnMetrics]:
    """Return the figures with those of the user's function.

    Raises:
        InputError: it left none, or one has the name of a figure that there is anyway.
    """
    measured = read_measured(args.measured, args.metrics)
    if taken := sorted(measured.candidate.keys() & candidate.metrics.keys()):
        raise InputError(f"metrics {args.metrics!r} give {taken[0]!r}, which is a figure already; call it otherwise")
    if baseline and not found.known:
        baseline = replace(baseline, metrics={**baseline.metrics, **(measured.baseline or {})})
    image = used_image(os.environ.get("COLCHIS_MEASURE_IMAGE", ""))
    own = OwnMetrics(args.metrics, found.code, image, tuple(sorted(measured.candidate)))
    return replace(candidate, metrics={**candidate.metrics, **measured.candidate}), baseline, own
