"""Metrics against their definitions, and against scikit-learn's."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from tests.steps.training_data import write_data

from colchis_steps._data.dataset import DataSet, open_data
from colchis_steps._evaluation.results import each_row
from colchis_steps._evaluation.samples import LONGEST, SAMPLES, Samples, in_words, pixels
from colchis_steps._evaluation.scores.classification import Scores
from colchis_steps._evaluation.scoring import Figures, Rows
from colchis_steps._formats import data_v1
from colchis_steps._formats.data import Column


def scored(probabilities: np.ndarray, labels: np.ndarray, batch: int = 1000) -> Scores:
    scores = Scores([str(i) for i in range(probabilities.shape[1])])
    for at in range(0, len(labels), batch):
        scores.add(probabilities[at : at + batch], labels[at : at + batch])
    return scores


@settings(deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(1, 60), classes=st.integers(2, 6), batch=st.integers(1, 70))
def test_metrics_agree_with_scikit_learn(seed: int, rows: int, classes: int, batch: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), rows).astype(np.float32)
    labels = random.integers(0, classes, rows)
    found, names = scored(probabilities, labels, batch), list(range(classes))
    predictions = probabilities.argmax(1)
    assert found.metrics()["accuracy"] == pytest.approx(sk.accuracy_score(labels, predictions))
    loss = -np.log(np.clip(probabilities[np.arange(rows), labels].astype(float), 1e-7, 1)).mean()
    assert found.metrics()["loss"] == pytest.approx(loss)
    assert (found.confusion == sk.confusion_matrix(labels, predictions, labels=names)).all()
    wanted = sk.precision_recall_fscore_support(labels, predictions, labels=names, zero_division=0)
    for i, values in enumerate(found.slices().values()):
        support = wanted[3][i]
        assert values["support"] == support
        assert values["precision"] == pytest.approx(wanted[0][i])
        assert math.isnan(values["recall"]) if not support else values["recall"] == pytest.approx(wanted[1][i])
        assert math.isnan(values["f1"]) if not support else values["f1"] == pytest.approx(wanted[2][i])


def test_calibration_error_is_the_gap_of_confidence_and_accuracy() -> None:
    probabilities = np.tile(np.array([[0.9, 0.1]]), (10, 1))
    labels = np.array([0] * 7 + [1] * 3)
    assert scored(probabilities, labels).metrics()["ece"] == pytest.approx(0.2)
    assert scored(np.eye(2)[labels], labels).metrics()["ece"] == 0.0


def test_nan_anywhere_makes_every_metric_nan() -> None:
    probabilities = np.array([[0.9, 0.1], [math.nan, math.nan]])
    scores = scored(probabilities, np.array([0, 1]))
    found = Figures(scores.metrics(), scores.slices()).flat()
    assert all(math.isnan(found[name]) for name in ("accuracy", "loss", "ece", "recall/label=0", "f1/label=1"))


def test_pictures_are_grey_values_between_the_columns_bounds() -> None:
    column = Column("image", "uint8", shape=(1, 3), minimum=0.0, maximum=16.0)
    assert pixels(np.array([[0, 8, 16]], np.uint8), column) == ((0, 128, 255),)
    assert pixels(np.array([[[0, 16], [16, 16], [0, 0]]], np.uint8), column) == ((128, 255, 0),)
    assert pixels(np.array([1.0, 2.0]), Column("x", "double", shape=(2,))) is None
    words = Column("words", "string", shape=(2, 2))
    assert pixels(np.array([["a", "b"], ["c", "d"]], "<U2"), words) is None


def test_a_row_is_told_by_its_columns_of_one_value() -> None:
    age, job, vector = np.array([41.25, 2.0], np.float32), np.array([["cook"], ["poet"]]), np.zeros((2, 3))
    assert in_words({"age": age[0], "job": job[0], "v": vector[0]}) == "age 41.25, job cook"
    assert in_words({"job": job[1]}) == "poet"
    assert in_words({"job": np.array([b"caf\xc3\xa9"])[0]}) == "café"
    assert in_words({"v": vector[0]}) == ""
    assert len(in_words({"job": np.array(["long " * 100])[0]})) == LONGEST


def pictures(directory: Path, **shapes: tuple[int, ...]) -> tuple[DataSet, dict[str, np.ndarray]]:
    label = data_v1.Column("label", "int64", classes=("a", "b"))
    columns = (*(data_v1.Column(name, "float32", shape) for name, shape in shapes.items()), label)
    data = open_data(write_data(directory, {}, columns))
    return data, {name: np.ones((1, *shape), np.float32) for name, shape in shapes.items()}


def shown(samples: Samples, features: dict[str, np.ndarray], probabilities: np.ndarray, labels: np.ndarray) -> None:
    weights = np.ones(len(labels))
    results = each_row("classification", probabilities, labels, weights)
    samples.add(Rows(features, probabilities, labels, weights, results))


def test_a_sample_has_the_one_picture_of_several_columns(tmp_path: Path) -> None:
    data, values = pictures(tmp_path / "set", picture=(2, 2), weight=(), other=(2, 2))
    for names, drawn in ((["picture", "weight"], True), (["picture", "other"], False)):
        samples = Samples(data, names)
        shown(samples, values, np.array([[0.9, 0.1]]), np.array([0]))
        assert (samples.chosen()[0].pixels is not None) == drawn
        assert samples.chosen()[0].text == ("weight 1" if drawn else "")


def test_samples_show_the_worst_mistakes_first(tmp_path: Path) -> None:
    data = open_data(write_data(tmp_path / "set", {"train": [3], "eval": [3], "test": [60]}))
    batch = next(data.batches("test", 60))
    probabilities = np.full((60, 3), 0.05)
    probabilities[np.arange(60), batch.labels] = 0.9
    for row, sure in ((20, 0.6), (50, 0.9), (40, 0.7)):
        probabilities[row] = (1 - sure) / 2
        probabilities[row, (batch.labels[row] + 1) % 3] = sure
    samples = Samples(data)
    for at in (0, 30):
        part = slice(at, at + 30)
        features = {name: values[part] for name, values in batch.features.items()}
        shown(samples, features, probabilities[part], batch.labels[part])
    chosen = samples.chosen()
    assert len(chosen) == SAMPLES
    assert [sample.confidence for sample in chosen[:3]] == [0.9, 0.7, 0.6]
    assert all(sample.label != sample.prediction for sample in chosen[:3])
    assert all(sample.label == sample.prediction for sample in chosen[3:])
    assert chosen[0].pixels is not None
    assert len(chosen[0].pixels) == len(chosen[0].pixels[0]) == 4
