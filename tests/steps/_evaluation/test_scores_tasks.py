"""Figures of every task against scikit-learn's, with weights, in any batches; and what holds whatever the rows are."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from colchis_steps._evaluation.scores import classification, multilabel, regression
from colchis_steps._evaluation.scores.ranking import Ranking

cases = given(seed=st.integers(0, 10_000), rows=st.integers(2, 80), batch=st.integers(1, 90), weighed=st.booleans())


def weights(random: np.random.Generator, rows: int, *, weighed: bool) -> np.ndarray:
    return random.uniform(0.1, 5, rows) if weighed else np.ones(rows)


def batches(
    scores: "classification.Scores | multilabel.Scores | regression.Scores", size: int, *arrays: np.ndarray
) -> None:
    for at in range(0, len(arrays[0]), size):
        scores.add(*(array[at : at + size] for array in arrays))


@settings(deadline=None)
@cases
def test_two_classes_agree_with_scikit_learn(seed: int, rows: int, batch: int, weighed: bool) -> None:
    random = np.random.default_rng(seed)
    second = random.choice([0.1, 0.3, 0.5, 0.7, 0.9], rows) if seed % 2 else random.uniform(0, 1, rows)
    probabilities = np.stack([1 - second, second], axis=1).astype(np.float32)
    labels, w = random.integers(0, 2, rows), weights(random, rows, weighed=weighed)
    labels[:2] = [0, 1]
    scores = classification.Scores(["no", "yes"])
    batches(scores, batch, probabilities, labels, w)
    found, score, said = scores.metrics(), probabilities[:, 1], probabilities.argmax(1)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, said, sample_weight=w))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, said, sample_weight=w))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, score, sample_weight=w))
    assert found["auprc"] == pytest.approx(sk.average_precision_score(labels, score, sample_weight=w))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(labels, score, sample_weight=w), rel=1e-5)
    clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1)
    assert found["loss"] == pytest.approx(
        sk.log_loss(labels, clipped / clipped.sum(1, keepdims=True), sample_weight=w), rel=1e-4
    )
    wanted = sk.precision_recall_fscore_support(labels, said, average="macro", zero_division=0, sample_weight=w)
    assert found["macro_precision"] == pytest.approx(wanted[0])
    assert found["macro_f1"] == pytest.approx(wanted[2])


@settings(deadline=None)
@cases
def test_many_classes_agree_with_scikit_learn(seed: int, rows: int, batch: int, weighed: bool) -> None:
    random = np.random.default_rng(seed)
    classes = 2 + seed % 4 + 1
    rows = max(rows, classes)
    probabilities = random.dirichlet(np.ones(classes), rows).astype(np.float32)
    labels, w = random.integers(0, classes, rows), weights(random, rows, weighed=weighed)
    labels[:classes] = np.arange(classes)
    scores = classification.Scores([str(i) for i in range(classes)])
    batches(scores, batch, probabilities, labels, w)
    found, hot = scores.metrics(), np.eye(classes)[labels]
    each = [sk.roc_auc_score(hot[:, k], probabilities[:, k], sample_weight=w) for k in range(classes)]
    assert found["auc"] == pytest.approx(np.mean(each))
    assert found["auprc"] == pytest.approx(
        sk.average_precision_score(hot, probabilities, sample_weight=w, average="macro")
    )
    squares = np.square(probabilities - hot).sum(1)
    assert found["brier"] == pytest.approx(np.average(squares, weights=w), rel=1e-5)
    named = list(range(classes))
    wanted = sk.precision_recall_fscore_support(
        labels, probabilities.argmax(1), labels=named, zero_division=0, sample_weight=w
    )
    assert [values["recall"] for values in scores.slices().values()] == pytest.approx(list(wanted[1]))
    assert [values["support"] for values in scores.slices().values()] == list(np.bincount(labels, minlength=classes))


@settings(deadline=None)
@cases
def test_labels_that_a_row_may_have_agree_with_scikit_learn(
    seed: int,
    rows: int,
    batch: int,
    weighed: bool,
) -> None:
    random = np.random.default_rng(seed)
    kinds = 1 + seed % 5
    probabilities = random.uniform(0, 1, (rows, kinds)).astype(np.float32)
    labels = random.integers(0, 2, (rows, kinds)).astype(np.uint8)
    w = weights(random, rows, weighed=weighed)
    scores = multilabel.Scores([f"l{i}" for i in range(kinds)])
    batches(scores, batch, probabilities, labels, w)
    found, said = scores.metrics(), (probabilities >= 0.5).astype(np.uint8)
    assert found["subset_accuracy"] == pytest.approx(np.average((said == labels).all(1), weights=w))
    assert found["hamming"] == pytest.approx(sk.hamming_loss(labels, said, sample_weight=w))
    if kinds > 1:
        for average in ("micro", "macro"):
            wanted = sk.f1_score(labels, said, average=average, zero_division=np.nan, sample_weight=w)
            assert found[f"{average}_f1"] == pytest.approx(0.0 if math.isnan(wanted) else wanted, nan_ok=True)
    for k, values in enumerate(scores.slices().values()):
        if len(set(labels[:, k].tolist())) == 2:
            auc = sk.roc_auc_score(labels[:, k], probabilities[:, k], sample_weight=w)
            assert values["auc"] == pytest.approx(auc)
        else:
            assert math.isnan(values["auc"])


@settings(deadline=None)
@cases
def test_numbers_agree_with_scikit_learn(seed: int, rows: int, batch: int, weighed: bool) -> None:
    random = np.random.default_rng(seed)
    several = 1 + seed % 3
    labels = (random.normal(1e4, 3, (rows, several))).astype(np.float32)
    predictions = (labels + random.normal(0, 1, labels.shape)).astype(np.float32)
    w = weights(random, rows, weighed=weighed)
    scores = regression.Scores([f"t{i}" for i in range(several)])
    batches(scores, batch, predictions, labels, w)
    found = scores.metrics()
    true, said = labels.astype(np.float64), predictions.astype(np.float64)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(true, said, sample_weight=w))
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(true, said, sample_weight=w))
    assert found["mape"] == pytest.approx(sk.mean_absolute_percentage_error(true, said, sample_weight=w))
    if np.ptp(true, axis=0).min() > 0:
        assert found["r2"] == pytest.approx(sk.r2_score(true, said, sample_weight=w), rel=1e-6)
    assert len(scores.slices()) == (several if several > 1 else 0)


def test_a_relative_error_is_not_told_where_a_label_is_zero() -> None:
    scores = regression.Scores(["t"])
    scores.add(np.array([[1.0], [2.0]]), np.array([[0.0], [2.0]]))
    assert scores.metrics().keys() == {"r2", "rmse", "mae"}


def test_equal_labels_have_no_r2_and_nan_is_no_figure() -> None:
    scores = regression.Scores(["t"])
    scores.add(np.array([[1.0], [2.0]]), np.array([[3.0], [3.0]]))
    assert math.isnan(scores.metrics()["r2"])
    scores.add(np.array([[math.inf]]), np.array([[3.0]]))
    assert all(map(math.isnan, scores.metrics().values()))
    assert scores.faults() == [("values are numbers", "the model gives NaN or infinity")]


def test_one_class_alone_has_no_area() -> None:
    scores = classification.Scores(["no", "yes"])
    scores.add(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 0]))
    assert math.isnan(scores.metrics()["auc"])
    assert scores.metrics()["accuracy"] == 1.0


def test_rows_of_no_weight_count_for_nothing_but_are_rows() -> None:
    scores = classification.Scores(["no", "yes"])
    scores.add(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1]), np.array([1.0, 0.0]))
    assert scores.metrics()["accuracy"] == 1.0
    assert scores.slices()["label=yes"]["support"] == 1


def test_probabilities_of_labels_are_between_0_and_1() -> None:
    scores = multilabel.Scores(["a"])
    scores.add(np.array([[1.7]]), np.array([[1]]))
    assert scores.faults() == [
        ("labels have probabilities", "the model gives 1.7 for a label, which is no probability")
    ]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 100), room=st.integers(256, 2000))
def test_a_ranking_without_room_is_nearly_right(seed: int, room: int) -> None:
    """Scores fall together where there are more than fit; the area is off by less than a part in 200."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, 5000)
    score = np.clip(random.normal(0.45 + 0.1 * labels, 0.2), 0, 1).astype(np.float32)
    ranking = Ranking(room)
    for at in range(0, 5000, 700):
        ranking.add(score[at : at + 700], labels[at : at + 700] == 1, np.ones(len(labels[at : at + 700])))
    assert ranking.auc() == pytest.approx(sk.roc_auc_score(labels, score), abs=5e-3)
    assert ranking.auprc() == pytest.approx(sk.average_precision_score(labels, score), abs=5e-3)
    assert len(ranking._scores) <= room


@given(seed=st.integers(0, 1000))
def test_a_ranking_is_the_same_however_its_scores_are_stretched(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, score = random.integers(0, 2, 50), random.uniform(0.01, 1, 50).astype(np.float32)
    labels[:2] = [0, 1]
    plain, stretched = Ranking(), Ranking()
    plain.add(score, labels == 1, np.ones(50))
    stretched.add(score / 2, labels == 1, np.ones(50))
    assert plain.auc() == stretched.auc()
    assert plain.auprc() == stretched.auprc()


def test_curves_begin_and_end_where_they_must() -> None:
    ranking, random = Ranking(), np.random.default_rng(1)
    labels, score = random.integers(0, 2, 4000), random.uniform(0, 1, 4000).astype(np.float32)
    ranking.add(score, labels == 1, np.ones(4000))
    curves = ranking.curves()
    assert curves is not None
    roc, pr = curves
    assert roc[0].tolist() == [0, 0]
    assert roc[-1].tolist() == [1, 1]
    assert pr[-1, 0] == 1
    assert len(roc) <= 60
    assert (np.diff(roc, axis=0) >= 0).all()
