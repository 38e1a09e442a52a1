"""What one pass over rows shows of columns, and what kind each one is; no TensorFlow here."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._baselines import seen
from colchis_steps._baselines.kinds import kind_of
from colchis_steps._baselines.seen import Moments, Words, frequent_words, look
from colchis_steps._formats.data import Column, Task
from colchis_steps.context import Context

FLOATS = st.floats(-1e6, 1e6, width=32)


@given(st.lists(st.lists(FLOATS | st.just(float("nan")), min_size=1, max_size=6), min_size=1, max_size=4))
def test_moments_of_parts_are_those_of_all(parts: list[list[float]]) -> None:
    found, values = Moments(), np.array([value for part in parts for value in part])
    for part in parts:
        found.add(np.array(part))
    there = values[~np.isnan(values)]
    assert found.count == len(there)
    assert found.missing == (len(there) < len(values))
    if len(there):
        assert found.mean == pytest.approx(there.mean(), abs=1e-6)
        assert found.squares == pytest.approx(((there - there.mean()) ** 2).sum(), rel=1e-6, abs=1e-3)


def test_a_constant_has_a_deviation_of_one() -> None:
    found = Moments()
    found.add(np.array([[7.0, 1.0], [7.0, 3.0]]))
    assert found.deviation.tolist() == [1.0, 1.0]
    assert found.mean.tolist() == [7.0, 2.0]


def test_rare_values_are_forgotten_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "COUNTED", 100)
    words = Words()
    for start in range(0, 1000, 50):
        words.add(["often", "seldom", "often", *map(str, range(start, start + 50))])
    assert len(words.values) <= 100
    assert words.frequent(2, 2) == ["often", "seldom"]


def test_sentences_are_counted_by_their_words() -> None:
    words = Words()
    words.add(["The cat, the Dog!", "a cat is a cat"])
    assert words.sentences
    assert words.longest == 5
    assert frequent_words(words, 3) == ["cat", "a", "the"]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (Column("x", "binary", media="image/png"), "picture"),
        (Column("x", "binary"), ""),
        (Column("x", "uint8", (8, 8)), "picture"),
        (Column("x", "uint8", (28, 28, 3)), "picture"),
        (Column("x", "uint8", (4, 4)), "number"),
        (Column("x", "uint8", (9, 9, 9)), "number"),
        (Column("x", "float", (8, 8)), "number"),
        (Column("x", "large_string"), "text"),
        (Column("x", "timestamp[us, tz=UTC]"), "date"),
        (Column("x", "time64[us]"), "number"),
        (Column("x", "bool"), "number"),
    ],
)
def test_a_column_is_of_one_kind(column: Column, kind: str) -> None:
    assert kind_of(column, {"x": column}) == kind


def test_looking_ends_at_a_bound_and_skips_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "ROWS", 5)
    columns = {name: Column(name, kind) for name, kind in {"n": "int64", "n__valid": "bool", "t": "string"}.items()}
    read: list[int] = []

    def blocks(split: str, epoch: int) -> Iterator[dict[str, Any]]:
        assert (split, epoch) == ("train", 0)
        for number in range(10):
            read.append(number)
            texts = np.array(["a", "b", "c"], object)
            yield {"n": np.array([1, 0, 3]), "n__valid": np.array([True, False, True]), "t": texts, "y": np.zeros(3)}

    found = look(Context({}, columns, "y", (), 0, blocks=blocks, task=Task("regression", ("y",))), columns)
    assert (found.rows, read) == (5, [0, 1])
    assert found.moments["n"].mean == pytest.approx(5 / 3)
    assert found.words["t"].frequent(9, 2) == ["a", "b"]
