"""Decide whether a trained model may ship: the exported SavedModel against thresholds and against the served version.

Reads   runs/<run>/model.json and its blobs, the version that the model's alias stable names, the data's test split
Writes  runs/<run>/evaluate.json; --verdict-path gets pass or fail: a "fail" is a result, not an error
        runs/<run>/golden.json: some rows and what the model answers; a rollout asks them again of what is served
"""

import argparse
import logging
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colchis_steps._data import DataSet, open_data
from colchis_steps._fetch import fetch_files
from colchis_steps._formats import Alias, Candidate, Column, File, Golden, Manifest, encode
from colchis_steps._gate import judge, rules, verdict
from colchis_steps._golden import golden_key
from colchis_steps._reports import Check, Evaluation, Sample
from colchis_steps._scores import Scores
from colchis_steps._step import InputError, Rejected, boolean, entrypoint, progress, run_flags, write_output
from colchis_steps._store import Store, find_document, open_store, read_document, recorded

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

BATCH = 256
SAMPLES = 24
GOLDEN_ROWS, GOLDEN_VALUES = 32, 100_000  # at most, of the test split, and numbers in them
log = logging.getLogger("colchis")


def pixels(row: "Array", column: Column) -> tuple[tuple[int, ...], ...] | None:
    """Give a picture's grey values, 0 to 255 between the column's minimum and maximum; None where it is no picture.

    ``row`` is [height, width], or [height, width, channels], whose channels are averaged.
    """
    import numpy as np

    if row.ndim not in {2, 3}:
        return None
    grey = row.astype(np.float64).mean(axis=2) if row.ndim == 3 else row.astype(np.float64)
    low = float(grey.min()) if column.minimum is None else column.minimum
    high = float(grey.max()) if column.maximum is None else column.maximum
    scaled = np.clip((grey - low) / ((high - low) or 1.0) * 255.0, 0.0, 255.0)
    return tuple(tuple(int(value) for value in line) for line in np.rint(np.nan_to_num(scaled)))


class Samples:
    """A few predictions to show: wrong ones first, then others, each kind in the order of the data."""

    def __init__(self, data: DataSet) -> None:
        self.classes, self.columns = data.classes, list(data.features.values())
        self.wrong: list[Sample] = []
        self.right: list[Sample] = []

    def add(self, features: "Mapping[str, Array]", probabilities: "Array", labels: "Array") -> None:
        """Take what is still wanted of a batch."""
        for i, (row, label) in enumerate(zip(probabilities, labels, strict=True)):
            kind = self.right if (prediction := int(row.argmax())) == label else self.wrong
            if len(kind) < SAMPLES:
                confidence = float(row[prediction]) if math.isfinite(row[prediction]) else 0.0
                picture = pixels(features[self.columns[0].name][i], self.columns[0]) if len(self.columns) == 1 else None
                kind.append(Sample(self.classes[int(label)], self.classes[prediction], round(confidence, 6), picture))

    def chosen(self) -> tuple[Sample, ...]:
        """Give at most SAMPLES of them."""
        return tuple((self.wrong + self.right)[:SAMPLES])


class Model:
    """A SavedModel from the store."""

    def __init__(self, store: Store, files: Sequence[File], directory: Path, name: str) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
        import tensorflow as tf

        fetch_files(store, files, directory)
        self.name = name
        try:
            self.loaded = tf.saved_model.load(str(directory))
            self.function = self.loaded.signatures["serving_default"]
            self.judged = dict(self.loaded.signatures).get("probability", self.function)  # if it serves classes alone
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise InputError(
                f"{name} is no SavedModel with a signature serving_default ({str(error)[:128]}); train it again"
            ) from error

    def mismatch(self, data: DataSet) -> str:
        """Say why the model does not fit the data, if so."""
        inputs = {n: (s.dtype.name, s.shape.as_list()) for n, s in self.function.structured_input_signature[1].items()}
        wanted = {c.name: (c.dtype, [None, *c.shape]) for c in data.features.values()}
        if inputs != wanted:
            return f"{self.name} takes {_kinds(inputs)}, and the data has {_kinds(wanted)}"
        output = self.judged.structured_outputs.get("probability")
        if output is None or output.shape.as_list() != [None, len(data.classes)]:
            found = f"{output.shape.as_list()}" if output is not None else "none"
            return f"{self.name} has the output probability {found}, and the data has {len(data.classes)} classes"
        return ""

    def score(
        self, data: DataSet, split: str, seen: "Callable[[Mapping[str, Array], Array, Array], object] | None" = None
    ) -> Scores:
        """Predict the split in batches and count; ``seen`` gets features, probabilities and labels of each batch."""
        import tensorflow as tf

        scores = Scores(data.classes)
        for batch in data.batches(split, BATCH):
            features = {name: values[: batch.total] for name, values in batch.features.items()}
            labels = batch.labels[: batch.total]
            answer = self.judged(**{name: tf.constant(values) for name, values in features.items()})
            probabilities = answer["probability"].numpy()
            scores.add(probabilities, labels)
            if seen:
                seen(features, probabilities, labels)
        return scores

    def golden(self, data: DataSet, run: str) -> Golden:
        """Give the first rows of the test split, with all that the model answers to them."""
        import tensorflow as tf

        batch = next(iter(data.batches("test", BATCH)))
        values = sum(math.prod(column.shape) for column in data.features.values())
        rows = max(1, min(GOLDEN_ROWS, batch.total, GOLDEN_VALUES // max(1, values)))
        features = {name: found[:rows] for name, found in batch.features.items()}
        answer = self.function(**{name: tf.constant(found) for name, found in features.items()})
        inputs = {name: found.tolist() for name, found in features.items()}
        return Golden(run, inputs, {name: found.numpy().tolist() for name, found in answer.items()})


def evaluate(args: argparse.Namespace, store: Store, top: Path) -> tuple[str, Evaluation]:
    """Score candidate and baseline on the test split, and judge."""
    given, data = rules(args.thresholds), open_data(args.data)
    data.shards("test")
    candidate = read_document(store, f"runs/{args.run}/model.json", Candidate)
    if candidate.model != args.model:
        raise InputError(f"run {args.run} has trained {candidate.model!r}, not {args.model!r}; correct --model")
    progress(0, 2)
    model = Model(store, candidate.files, top / "candidate", f"the model of run {args.run}")
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
        decided = verdict(checks)
    progress(2, 2)
    return decided, Evaluation(
        metrics=_finite(scores.metrics()),
        slices={name: _finite(values) for name, values in scores.slices().items()},
        baseline_version=version,
        baseline_metrics=_finite(baseline.metrics()) if baseline else {},
        classes=data.classes,
        confusion=tuple(tuple(int(count) for count in line) for line in scores.confusion),
        checks=checks,
        samples=samples.chosen(),
    )


def _baseline(
    args: argparse.Namespace, store: Store, data: DataSet, top: Path
) -> tuple[int | None, Scores | None, str]:
    """Give the stable version and its scores on the same data, or why there are none."""
    alias = find_document(store, f"models/{args.model}/aliases/stable.json", Alias)
    if alias is None:
        return None, None, "no version of this model is stable yet"
    manifest = read_document(store, f"models/{args.model}/{alias.version}/manifest.json", Manifest)
    model = Model(store, manifest.files, top / "baseline", f"the stable version {alias.version}")
    if found := model.mismatch(data):
        log.warning("there is nothing to compare with: %s", found)
        return alias.version, None, found
    return alias.version, model.score(data, "test"), ""


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}  # JSON has no NaN


def _kinds(tensors: Mapping[str, tuple[str, list[int | None]]]) -> str:
    return ", ".join(f"{name} {dtype}{shape[1:]}" for name, (dtype, shape) in sorted(tensors.items())) or "nothing"


def parser() -> argparse.ArgumentParser:
    """Describe the command line; docs and contract tests read it too."""
    p = argparse.ArgumentParser(
        prog="colchis_steps.evaluate",
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
        reasons = [check.reason for check in details.checks if not check.passed]
        recorder.message = "; ".join(reasons)
        write_output(args.verdict_path, decided)
    told = ", ".join(f"{name} {value:.4f}" for name, value in details.metrics.items())
    log.info("%s: %s%s", decided, told, f" ({'; '.join(reasons)})" if reasons else "")
    if decided == "fail" and args.fail_on_reject:
        raise Rejected(
            f"the gate rejects the model: {'; '.join(reasons)}; train a better one, or change the thresholds"
        )


if __name__ == "__main__":
    raise SystemExit(main())
