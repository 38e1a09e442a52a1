"""Answers in words and columns, by task."""

from typing import Any

import pytest

from colchis_steps._asking.words import columns_of, in_words


@pytest.mark.parametrize(
    ("answer", "classes", "task", "columns"),
    [
        ({"class": 1, "probability": [0.2, 0.8], "label": "dog"}, (), "", {"prediction": "dog", "probability": 0.8}),
        ({"class": 1, "probability": [0.2, 0.8]}, ("cat", "dog"), "", {"prediction": "dog", "probability": 0.8}),
        ({"class": 7}, ("cat", "dog"), "", {"prediction": "7"}),
        (
            {"probability": [0.2, 0.8], "labels": ["b"]},
            ("a", "b"),
            "multilabel",
            {"prediction": ["b"], "probability_a": 0.2, "probability_b": 0.8},
        ),
        ([0.9, 0.8], ("a", "b"), "multilabel", {"prediction": ["a", "b"], "probability_a": 0.9, "probability_b": 0.8}),
        ([1.5], (), "regression", {"value": 1.5}),
        ({"value": [1.5, 2.0]}, (), "regression", {"value_0": 1.5, "value_1": 2.0}),
        ({"code": [1, 2]}, (), "", {"code": [1, 2]}),
        (0.5, (), "", {"prediction": 0.5}),
    ],
)
def test_an_answer_has_columns(answer: Any, classes: tuple[str, ...], task: str, columns: dict[str, Any]) -> None:
    assert columns_of(answer, classes, task) == columns


@pytest.mark.parametrize(
    ("answer", "label", "task", "words"),
    [
        ([151.25], 148.0, "regression", "value 151.25, label 148"),
        ({"probability": [0.9, 0.8, 0.1]}, [1, 0, 0], "multilabel", "prediction a, b, label a"),
        ({"probability": [0.1, 0.1, 0.1]}, [0, 0, 0], "multilabel", "prediction nothing, label nothing"),
        ({"class": 1, "probability": [0.1, 0.9, 0.0]}, 0, "", "prediction b (probability 0.900), label a"),
        ([151.25, None], [148.0, 2.0], "regression", "value 151.25, null, label 148, 2"),
        ({"code": [1, 2]}, None, "none", 'prediction {"code": [1, 2]}'),
        ("grün", None, "", 'prediction "grün"'),
    ],
)
def test_an_answer_is_one_line(answer: Any, label: Any, task: str, words: str) -> None:
    assert in_words(answer, ("a", "b", "c"), label, task) == words
