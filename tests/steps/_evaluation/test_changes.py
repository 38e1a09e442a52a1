"""What is told of a change on the same rows: passes, fails and what is left open, with what would decide it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from colchis_steps._evaluation.chance import above_chance
from colchis_steps._evaluation.changes import check, check_told, judge_changes, told, worse_parts
from colchis_steps._evaluation.enough import rows_tell, split_tells
from colchis_steps._evaluation.gate import verdict
from colchis_steps._evaluation.pairs import Pair
from colchis_steps._evaluation.results import KINDS
from colchis_steps._formats.runs import Change
from colchis_steps._step.errors import InputError

CLASSES = ("a", "b")
Array = np.ndarray[Any, np.dtype[Any]]


def results(right: Array, label: Array | None = None, weight: float = 1.0) -> Array:
    """Return results by row of a model for two classes that is right where it says."""
    found = np.zeros(len(right), KINDS["classification"])
    found["label"] = np.arange(len(right)) % 2 if label is None else label
    found["prediction"] = np.where(right, found["label"], 1 - found["label"])
    found["loss"], found["brier"] = np.where(right, 0.1, 2.0), np.where(right, 0.01, 0.9)
    found["weight"] = weight
    return found


def pair(rows: int, gained: int, lost: int, **more: Any) -> Pair:
    """Return two models of so many rows, of which 90 % are right by the baseline; the rows that differ lie apart."""
    before = np.arange(rows) % 10 != 0
    now = before.copy()
    now[np.flatnonzero(~before)[:gained]] = True
    now[np.flatnonzero(before)[:: max(1, rows // 2 // max(1, lost))][:lost]] = False
    return Pair("classification", CLASSES, results(now), results(before), 7, **more)


@pytest.mark.parametrize(
    ("rows", "gained", "lost", "wanted"),
    [
        (300, 0, 0, "pass"),
        (1_000, 3, 4, "pass"),
        (360, 4, 5, "undecided"),
        (360, 1, 20, "fail"),
        (50, 0, 0, "pass"),
        (50, 1, 1, "undecided"),
        (1, 1, 0, "undecided"),
    ],
)
def test_not_worse_by_a_point(rows: int, gained: int, lost: int, wanted: str) -> None:
    assert told(pair(rows, gained, lost), "accuracy", "not_worse", 0.01).verdict == wanted


def test_no_disagreement_in_50_rows_decides_nothing_unless_the_models_do_the_same() -> None:
    same = pair(50, 0, 0)
    assert told(same, "accuracy", "not_worse", 0.01).test == "equal"
    same.candidate["loss"] += 0.01
    found = told(same, "accuracy", "not_worse", 0.01)
    assert (found.test, found.verdict, found.differing) == ("tango", "undecided", 0.0)


def test_the_very_same_files_pass_whatever_their_rows_say() -> None:
    assert told(pair(50, 1, 9, same=True), "accuracy", "not_worse", 0.01).verdict == "pass"


def test_better_is_more_than_noise() -> None:
    assert told(pair(1_000, 30, 5), "accuracy", "better", 0.0).verdict == "pass"
    assert told(pair(1_000, 8, 5), "accuracy", "better", 0.0).verdict == "undecided"
    assert told(pair(1_000, 5, 30), "accuracy", "better", 0.0).verdict == "fail"
    assert told(pair(1_000, 30, 5), "accuracy", "better", 0.02).verdict == "undecided"
    assert told(pair(1_000, 0, 0), "accuracy", "better", 0.0).verdict == "fail"
    assert told(pair(1_000, 60, 5), "loss", "better", 0.02).verdict == "pass"


def test_a_loss_is_told_by_draws_and_by_its_share() -> None:
    found = told(pair(1_000, 10, 40), "loss", "not_worse", 0.02)
    assert (found.test, found.verdict, found.relative, found.rows) == ("bootstrap", "fail", True, 1_000)
    now, then = pair(1_000, 10, 40).candidate["loss"].mean(), pair(1_000, 10, 40).baseline["loss"].mean()
    assert found.value == pytest.approx(now / then - 1, abs=1e-6)
    assert found.low < found.value < found.high
    assert told(pair(299, 10, 40), "loss", "not_worse", 0.02).test == "few"


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1", "brier", "accuracy"])
def test_figures_made_of_sums_change_as_the_figures_do(metric: str) -> None:
    two = pair(1_000, 20, 50)
    found = told(two, metric, "not_worse", 0.1)
    if metric != "brier":
        assert found.value == pytest.approx(-0.03, abs=2e-3)
    assert found.low < found.value < found.high


def test_the_order_of_two_classes_is_told_with_as_many_rows_of_each() -> None:
    random = np.random.default_rng(2)
    label = (random.random(1_000) < 0.1).astype(int)
    now, then = results(np.ones(1_000, bool), label), results(np.ones(1_000, bool), label)
    common = random.normal(size=1_000)
    now["score"] = 0.5 * label + common + 0.1 * random.normal(size=1_000)
    then["score"] = 2 * label + common + 0.1 * random.normal(size=1_000)
    two = Pair("classification", CLASSES, now, then, 7)
    found = told(two, "auc", "not_worse", 0.02)
    wanted = roc_auc_score(label, now["score"]) - roc_auc_score(label, then["score"])
    assert found.value == pytest.approx(wanted, abs=1e-6)
    assert (found.test, found.verdict, found.rows) == ("bootstrap", "fail", 1_000)
    back = Pair("classification", CLASSES, then, now, 7, groups=np.arange(1_000) // 2)
    assert told(back, "auc", "better", 0.02).verdict == "pass"
    check_told("classification", "auc", "not_worse", 2)


def test_rows_of_groups_are_not_taken_for_so_many_facts() -> None:
    alone = pair(1_000, 8, 10)
    groups = pair(1_000, 8, 10, groups=np.arange(1_000) // 10)
    assert told(alone, "accuracy", "not_worse", 0.01).verdict == "pass"
    found = told(groups, "accuracy", "not_worse", 0.01)
    assert (found.rows, found.verdict) == (100, "undecided")
    many = pair(4_000, 8, 10, groups=np.arange(4_000) // 10)
    single = told(pair(4_000, 8, 10), "accuracy", "not_worse", 0.01)
    both = told(many, "accuracy", "not_worse", 0.01)
    assert both.verdict == "pass"
    assert both.low <= single.low


def test_weighted_rows_are_told_by_draws() -> None:
    two = pair(1_000, 8, 10)
    two.candidate["weight"][::2] = 3.0
    assert told(two, "accuracy", "not_worse", 0.01).test == "bootstrap"


def test_numbers_and_labels_are_told_too() -> None:
    random = np.random.default_rng(3)
    before = np.zeros(2_000, KINDS["regression"])
    before["absolute"], before["weight"] = random.exponential(size=2_000), 1.0
    now = before.copy()
    now["absolute"] *= 1.1
    assert told(Pair("regression", (), now, before, 7), "mae", "not_worse", 0.02).verdict == "fail"
    assert told(Pair("regression", (), before, now, 7), "mae", "better", 0.05).verdict == "pass"
    tags = np.zeros(2_000, KINDS["multilabel"])
    tags["there"], tags["said"], tags["hits"], tags["weight"] = 2, 2, random.integers(0, 3, 2_000), 1.0
    better = tags.copy()
    better["hits"] = np.minimum(better["hits"] + 1, 2)
    assert told(Pair("multilabel", (), better, tags, 7), "micro_f1", "better", 0.0).verdict == "pass"
    assert told(Pair("multilabel", (), better, tags, 7), "subset_accuracy", "not_worse", 0.01).test == "tango"


def test_a_part_that_lost_ten_points_fails_and_parts_that_lost_nothing_do_not() -> None:
    rows = 3_000
    parts = {f"region={number}": np.arange(rows) // 10 % 10 == number for number in range(10)} | {
        "region=rare": np.arange(rows) < 20
    }
    two = pair(rows, 30, 0, parts=parts)
    assert worse_parts(two, "accuracy", 0.01) == []
    there = np.flatnonzero(parts["region=3"])
    two.candidate["prediction"][there[:40]] = 1 - two.candidate["label"][there[:40]]
    (found,) = worse_parts(two, "accuracy", 0.01)
    assert (found.metric, found.rows, found.verdict) == ("accuracy/region=3", 300, "fail")
    changes = judge_changes({"accuracy": {"not_worse": 0.02}}, ["accuracy"], two, "classification")
    assert [change.metric for change in changes] == ["accuracy", "accuracy/region=3"]
    assert verdict([check(change) for change in changes]) == "fail"


def test_a_class_that_is_lost_fails_though_it_is_rare() -> None:
    label = (np.arange(2_000) % 30 == 0).astype(int)
    before = results(np.ones(2_000, bool), label)
    now = results(label == 0, label)
    found = worse_parts(Pair("classification", CLASSES, now, before, 7), "accuracy", 0.05)
    assert [change.metric for change in found] == ["recall/label=b"]


def test_what_is_open_says_what_would_decide() -> None:
    assert check(told(pair(360, 4, 5), "accuracy", "not_worse", 0.01)).reason == (
        "accuracy changed by -0.0028 (between -0.0186 and +0.0124 by 360 rows), which does not tell whether it is not "
        "worse by more than 0.01; about 1,700 rows like these or a margin of 0.019 would"
    )
    assert told(pair(360, 4, 5), "accuracy", "not_worse", 0.019).verdict == "pass", "as it says"
    few = check(told(pair(120, 4, 5), "loss", "not_worse", 0.02))
    assert (few.severity, few.reason.rpartition("; ")[2]) == ("undecided", "a bootstrap needs 300 rows")
    assert check(told(pair(360, 1, 20), "accuracy", "not_worse", 0.01)).severity == "error"
    assert check(Change("accuracy/region=x", "not_worse", 0.01)).reason.endswith("it has no rows")


@given(st.integers(1, 500), st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.005, 0.01, 0.05]))
def test_each_change_has_one_verdict_and_each_no_a_reason(rows: int, gained: int, lost: int, margin: float) -> None:
    for kind in ("not_worse", "better"):
        found = told(pair(rows, gained, lost), "accuracy", kind, margin)
        shown = check(found)
        assert shown.passed == (found.verdict == "pass") == (not shown.reason)
        assert verdict([shown]) == found.verdict


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("classification", "auc"),
        ("classification", "cost"),
        ("regression", "mape"),
        ("none", "cost"),
        ("multilabel", "auc"),
    ],
)
def test_figures_that_results_by_row_do_not_give_are_refused(kind: str, metric: str) -> None:
    with pytest.raises(InputError, match=f"bound '{metric}' by not_worse, which is told of .* alone; bound it"):
        check_told(kind, metric, "not_worse")


def test_a_first_model_is_compared_with_nothing_and_its_rules_are_checked_all_the_same() -> None:
    assert judge_changes({"accuracy": {"not_worse": 0.01}}, ["accuracy"], None, "classification") == ()
    with pytest.raises(InputError):
        judge_changes({"auc": {"better": 0.0}}, ["auc"], None, "classification")


def test_too_few_rows_for_the_margin_are_warned_of_before_and_after() -> None:
    rules = {"accuracy": {"not_worse": 0.01}}
    (first,) = rows_tell(rules, (), 360, "classification")
    assert first.severity == "warn"
    assert first.reason.startswith(
        "360 rows tell little: where two models differ on 5 % of them, one just as good passes"
    )
    assert "in 20 % of cases; a margin of 0.021 would pass it in half" in first.reason
    changes = (told(pair(360, 4, 5), "accuracy", "not_worse", 0.01),)
    assert "differ on 2.5 % of them" in rows_tell(rules, changes, 360, "classification")[0].reason
    assert rows_tell(rules, (), 10_000, "classification") == ()
    assert rows_tell({"accuracy": {"min": 0.9}}, (), 30, "classification") == ()
    assert rows_tell({"cost": {"max": 3}}, (), 30, "none") == ()


def test_draws_that_are_too_few_for_the_margin_are_warned_of_too() -> None:
    random = np.random.default_rng(4)
    before = np.zeros(400, KINDS["regression"])
    before["absolute"], before["weight"] = random.exponential(size=400), 1.0
    now = before.copy()
    now["absolute"] *= random.uniform(0.5, 1.5, 400)
    found = told(Pair("regression", (), now, before, 7), "mae", "not_worse", 0.02)
    (warned,) = rows_tell({"mae": {"not_worse": 0.02}}, (found,), 400, "regression")
    assert warned.severity == "warn"
    assert warned.reason.startswith("400 rows tell little: a model just as good passes as not worse in mae by 2 % in ")
    assert (
        rows_tell({}, (told(Pair("regression", (), before, before.copy(), 7), "mae", "not_worse", 0.02),), 400, "")
        == ()
    )


@pytest.mark.parametrize(
    ("kind", "rows", "begins"),
    [
        ("classification", 360, "the split test: 360 rows tell little"),
        ("classification", 10_000, ""),
        ("regression", 299, "the split test has 299 rows, and a change in mae is told of 300 or more"),
        ("regression", 300, ""),
        ("multilabel", 299, "the split test has 299 rows, and a change in micro_f1"),
        ("sequence", 3, ""),
        ("classification", 0, ""),
    ],
)
def test_an_import_tells_whether_its_test_rows_are_enough(kind: str, rows: int, begins: str) -> None:
    told_so = split_tells(rows, kind)
    assert told_so.startswith(begins)
    assert bool(told_so) == bool(begins)


def test_the_most_frequent_class_is_no_model() -> None:
    label = (np.arange(1_000) % 50 == 0).astype(int)
    always = results(label == 0, label)
    (found,) = above_chance("classification", CLASSES, always)
    assert not found.passed
    assert found.severity == "error"
    assert found.reason.startswith(
        "0.9800 of 1000 rows are right, and 0.9800 by always saying 'a': no more than chance"
    )
    (good,) = above_chance("classification", CLASSES, results(np.ones(1_000, bool), label))
    assert good.passed
    (one,) = above_chance("classification", CLASSES, results(np.ones(3, bool), np.array([0, 0, 1])))
    assert (one.passed, one.severity) == (False, "undecided")


def test_the_mean_is_no_model_either() -> None:
    found = np.zeros(400, KINDS["regression"])
    found["label"], found["weight"] = np.linspace(0, 1, 400), 1.0
    found["prediction"] = 0.5
    found["absolute"] = np.abs(found["prediction"] - found["label"])
    assert not above_chance("regression", (), found)[0].passed
    found["prediction"] = found["label"] + 0.1
    found["absolute"] = 0.1
    assert above_chance("regression", (), found)[0].passed
    assert above_chance("multilabel", (), np.zeros(3, KINDS["multilabel"])) == ()
