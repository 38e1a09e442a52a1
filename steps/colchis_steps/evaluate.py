"""Decide whether a trained model may ship: the exported SavedModel against thresholds and against the served version.

Reads   runs/<run>/model.json and its blobs, the version that the model's alias stable names, the data's test split
Writes  runs/<run>/evaluate.json; --verdict-path gets pass or fail: a "fail" is a result, not an error
        runs/<run>/golden.json: some rows and what the model answers; a rollout asks them again of what is served
        runs/<run>/confirmed.json: the blobs that were read and verified, so that upload need not
"""

import argparse
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._content.confirmed import confirm, described
from colchis_steps._data.dataset import DataSet, open_data
from colchis_steps._evaluation.gate import judge, never_right, rules, verdict
from colchis_steps._evaluation.model import Model
from colchis_steps._evaluation.samples import Samples
from colchis_steps._evaluation.scores import Scores
from colchis_steps._formats.documents import encode
from colchis_steps._formats.keys import alias_key, candidate_key, golden_key, manifest_key
from colchis_steps._formats.models import Alias, Candidate, Manifest
from colchis_steps._formats.runs import Check, Evaluation
from colchis_steps._step.errors import InputError, Rejected
from colchis_steps._step.flags import boolean, operations, prog, run_flags
from colchis_steps._step.main import entrypoint
from colchis_steps._step.outputs import write_output
from colchis_steps._step.progress import progress
from colchis_steps._store.api import Objects
from colchis_steps._store.documents import find_document, read_document, recorded
from colchis_steps._store.opening import open_store

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


log = logging.getLogger("colchis")


def evaluate(args: argparse.Namespace, store: Objects, top: Path) -> tuple[str, Evaluation]:
    """Score candidate and baseline on the test split, and judge."""
    given, data = rules(args.thresholds), open_data(args.data)
    data.shards("test")
    candidate = read_document(store, candidate_key(args.run), Candidate)
    if candidate.model != args.model:
        raise InputError(f"run {args.run} has trained {candidate.model!r}, not {args.model!r}; correct --model")
    progress(0, 2)
    before = described(store, candidate.files)
    model = Model(store, candidate.files, top / "candidate", f"the model of run {args.run}", args.allow_operations)
    confirm(store, args.run, before)
    if found := model.mismatch(data):
        raise InputError(f"{found}; evaluate it on data like that of its training")
    samples = Samples(data)
    scores = model.score(data, "test", samples.add)
    store.write(golden_key(args.run), encode(model.golden(data, args.run)))
    progress(1, 2)
    version, baseline, missing = _baseline(args, store, data, top)
    decided, checks = judge(given, scores.flat(), baseline.flat() if baseline else None, args.first_model, missing)
    if not scores.finite:
        checks = (Check("probabilities are numbers", passed=False, reason="the model gives NaN or infinity"), *checks)
    if scores.improper:
        reason = f"the model gives rows like {scores.improper}, which are no probabilities"
        checks = (Check("rows are probabilities", passed=False, reason=reason), *checks)
    checks = (*checks, *never_right(scores.slices()))
    decided = verdict(checks)
    progress(2, 2)
    return decided, Evaluation(
        metrics=scores.metrics(),
        slices=scores.slices(),
        baseline_version=version,
        baseline_metrics=baseline.metrics() if baseline else {},
        classes=data.classes,
        confusion=tuple(tuple(int(count) for count in line) for line in scores.confusion),
        checks=checks,
        samples=samples.chosen(),
    )


def _baseline(
    args: argparse.Namespace, store: Objects, data: DataSet, top: Path
) -> tuple[int | None, Scores | None, str]:
    """Return the stable version and its scores on the same data, or why there are none."""
    alias = find_document(store, alias_key(args.model, "stable"), Alias)
    if alias is None:
        return None, None, "no version of this model is stable yet"
    manifest = read_document(store, manifest_key(args.model, alias.version), Manifest)
    model = Model(store, manifest.files, top / "baseline", f"the stable version {alias.version}", args.allow_operations)
    if found := model.mismatch(data):
        log.warning("there is nothing to compare with: %s", found)
        return alias.version, None, found
    return alias.version, model.score(data, "test"), ""


def parser() -> argparse.ArgumentParser:
    """Describe the command line; docs and contract tests read it too."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.evaluate"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.evaluate --store file:///tmp/store --run demo --model digits "
        '--data file:///tmp/store/data/digits/0123456789abcdef --thresholds \'{"accuracy": {"min": 0.95}}\'',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run_flags(p)
    p.add_argument("--model", required=True, metavar="NAME", help="the model's name")
    p.add_argument("--data", required=True, metavar="URI", help="the data set's directory in a store")
    p.add_argument(
        "--thresholds", default="{}", metavar="JSON", help="bounds by metric: min, max, min_change, max_change"
    )
    p.add_argument(
        "--first-model", choices=("accept", "reject"), default="accept", help="what a lack of baseline means"
    )
    p.add_argument(
        "--fail-on-reject", type=boolean, default=False, metavar="BOOL", help="end with 3 on the verdict fail"
    )
    p.add_argument(
        "--allow-operations", type=operations, default=(), metavar="NAMES", help="TensorFlow's, that may reach out"
    )
    p.add_argument("--verdict-path", type=Path, metavar="PATH", help="where to write pass or fail")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Score, judge, write the verdict."""
    args = parser().parse_args(argv)
    store = open_store(args.store)
    with recorded(store, args.run, "evaluate", vars(args)) as recorder, tempfile.TemporaryDirectory() as top:
        decided, details = evaluate(args, store, Path(top))
        recorder.verdict, recorder.details, recorder.outputs = decided, details, {"verdict": decided}
        broken = [check for check in details.checks if not check.passed]
        reasons = [check.reason for check in broken if check.severity == "error"]
        recorder.message = "; ".join(reasons)
        write_output(args.verdict_path, decided)
    for check in broken:
        if check.severity == "warn":
            log.warning("%s", check.reason)
    figures = ", ".join(f"{name} {value:.4f}" for name, value in details.metrics.items())
    log.info("%s: %s%s", decided, figures, f" ({'; '.join(reasons)})" if reasons else "")
    if decided == "fail" and args.fail_on_reject:
        raise Rejected(
            f"the gate rejects the model: {'; '.join(reasons)}; train a better one, or change the thresholds"
        )


if __name__ == "__main__":
    raise SystemExit(main())
