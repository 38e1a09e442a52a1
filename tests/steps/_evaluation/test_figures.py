"""Figures by sums over rows are the figures of the scores, whatever the rows; and what they are told of."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colchis_steps._evaluation.changes import told, worse_parts
from colchis_steps._evaluation.figures import RANKED, figure, names_of
from colchis_steps._evaluation.pairs import Pair
from colchis_steps._evaluation.results import each_row
from colchis_steps._evaluation.scores import classification, multilabel, regression
from colchis_steps._evaluation.statistics.ranking import ranked
from colchis_steps._evaluation.values import intervals

Array = np.ndarray[Any, np.dtype[Any]]
TASKS = [("classification", 2), ("classification", 4), ("multilabel", 3), ("regression", 1)]


def task(kind: str, classes: int, seed: int, rows: int) -> tuple[Array, Array, Array]:
    """Return predictions, labels and weights of random rows."""
    random = np.random.default_rng(seed)
    weights = random.choice([0.5, 1.0, 2.0], rows)
    if kind == "regression":
        labels = random.normal(2_000, 3, (rows, 1))
        return (labels + random.normal(size=(rows, 1))).astype("f4"), labels.astype("f4"), weights
    scores = random.random((rows, classes)).astype("f4")
    if kind == "multilabel":
        return scores, (random.random((rows, classes)) < 0.4).astype("i8"), weights
    return scores / scores.sum(axis=1, keepdims=True), random.integers(0, classes, rows), weights


def scored(kind: str, names: tuple[str, ...], *arrays: Array) -> dict[str, float]:
    """Return the figures as ``evaluate`` has them."""
    scores: Any = {"classification": classification, "multilabel": multilabel, "regression": regression}[kind]
    found = scores.Scores(names)
    found.add(*arrays)
    metrics: dict[str, float] = found.metrics()
    return metrics


@pytest.mark.parametrize(("kind", "classes"), TASKS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), rows=st.integers(3, 200))
def test_each_figure_is_that_of_the_scores(kind: str, classes: int, seed: int, rows: int) -> None:
    predictions, labels, weights = task(kind, classes, seed, rows)
    names = tuple("abcd"[:classes])
    wanted, found = scored(kind, names, predictions, labels, weights), each_row(kind, predictions, labels, weights)
    for name in names_of(kind, classes):
        if name in RANKED:
            value = float(ranked(name)(found["score"], found["label"] == 1)(found["weight"][None].astype("f8"))[0])
        else:
            how = figure(kind, names, name, found)
            assert how
            with np.errstate(divide="ignore", invalid="ignore"):
                value = float(how.of(how.columns(found).sum(axis=0)[None])[0])
        if np.isfinite(value):
            assert value == pytest.approx(wanted[name], rel=2e-4, abs=2e-5), name


def test_what_a_row_does_not_keep_gives_no_figure() -> None:
    two = np.array([[1.0, 9.0], [2.0, 8.0]])
    found = each_row("regression", two, two + np.array([1.0, 5.0]), np.ones(2))
    assert figure("regression", (), "r2", found) is None
    assert figure("regression", (), "mae", found)
    assert "auc" not in names_of("classification", 3)
    assert names_of("none") == []


@pytest.mark.parametrize(("kind", "classes"), TASKS)
def test_a_model_that_is_worse_is_told_so_by_each_figure(kind: str, classes: int) -> None:
    random, rows = np.random.default_rng(5), 800
    predictions, labels, _ = task(kind, classes, 5, rows)
    right = labels if kind != "classification" else np.eye(classes)[labels]
    mix = {"regression": 0.5, "multilabel": 0.5, "classification": 0.6}[kind]
    good = predictions + mix * (right - predictions)
    worse = good.copy() if kind == "regression" else good[:, ::-1].copy()
    chosen = random.random(rows) < 0.5
    now = np.where(chosen[:, None], worse + (3 if kind == "regression" else 0), good)
    results = [each_row(kind, each.astype("f4"), labels, np.ones(rows)) for each in (now, good)]
    pair = Pair(kind, tuple("abcd"[:classes]), results[0], results[1], begin=3)
    for name in sorted({*names_of(kind, classes)} - {"ece"}):
        change = told(pair, name, "not_worse", 0.02)
        assert change.verdict == "fail", (name, change)
        assert told(Pair(kind, pair.classes, results[1], results[0], begin=3), name, "better", 0.0).verdict == "pass", (
            name
        )


def test_a_part_in_which_a_regression_errs_more_fails_and_others_do_not() -> None:
    random, rows = np.random.default_rng(1), 4_800
    labels = random.normal(size=(rows, 1))
    good = labels + random.normal(size=(rows, 1))
    region = np.arange(rows) % 12
    parts = {f"region={number}": region == number for number in range(12)} | {"rare=1": np.arange(rows) < 60}
    now = np.where((region == 3)[:, None], labels + 1.6 * (good - labels), good)
    results = [each_row("regression", each, labels, np.ones(rows)) for each in (now, good)]
    found = worse_parts(Pair("regression", (), results[0], results[1], begin=3, parts=parts), "mae", 0.02)
    assert [change.metric for change in found] == ["mae/region=3"]
    assert worse_parts(Pair("regression", (), results[1], results[1].copy(), begin=3, parts=parts), "mae", 0.02) == []


@pytest.mark.parametrize(("kind", "classes"), TASKS)
def test_each_figure_has_an_interval_that_holds_it_and_few_rows_have_none(kind: str, classes: int) -> None:
    predictions, labels, weights = task(kind, classes, 9, 1_000)
    found, names = each_row(kind, predictions, labels, weights), tuple("abcd"[:classes])
    wanted = scored(kind, names, predictions, labels, weights)
    told_of = intervals(Pair(kind, names, found, found, 7), wanted)
    assert sorted(told_of) == sorted(names_of(kind, classes))
    for name, (low, high) in told_of.items():
        assert low < high
        assert name == "ece" or low <= wanted[name] <= high  # a mean of distances is biased upwards by each draw
    few = found[:200]
    shares = {"accuracy"} if (few["weight"] == 1).all() else set()
    assert set(intervals(Pair(kind, names, few, few, 7), wanted)) == shares


def test_a_baseline_without_any_error_is_not_reached() -> None:
    labels = np.linspace(0, 1, 400)[:, None]
    perfect, near = (each_row("regression", labels + apart, labels, np.ones(400)) for apart in (0.0, 0.1))
    lost = told(Pair("regression", (), near, perfect, begin=3), "mae", "not_worse", 0.02)
    assert (lost.verdict, lost.value) == ("fail", float("inf"))
    kept = told(Pair("regression", (), perfect, perfect.copy(), begin=3), "mae", "not_worse", 0.02)
    assert (kept.verdict, kept.value) == ("pass", 0.0)


def test_a_model_that_is_too_sure_is_worse_calibrated() -> None:
    random, rows = np.random.default_rng(8), 800
    sure = random.uniform(0.5, 1.0, rows)
    labels = (random.random(rows) < sure).astype(int)
    honest = each_row("classification", np.stack([1 - sure, sure], axis=1), labels, np.ones(rows))
    boast = each_row("classification", np.tile([0.01, 0.99], (rows, 1)), labels, np.ones(rows))
    found = told(Pair("classification", ("a", "b"), boast, honest, begin=3), "ece", "not_worse", 0.02)
    assert (found.verdict, found.relative, found.smaller) == ("fail", False, True)
