"""Windows of one series that are neighbours are found; rows that are none are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._data.windows import LEAST, edges, moved


def windows(series: np.ndarray, length: int) -> np.ndarray:
    return np.stack([series[i : i + length] for i in range(len(series) - length + 1)])


@given(st.integers(0, 999), st.integers(LEAST, 12), st.integers(20, 60))
def test_each_window_whose_neighbour_is_on_the_other_side_is_counted(seed: int, length: int, count: int) -> None:
    random = np.random.default_rng(seed)
    rows = windows(random.normal(size=count + length).astype("float32"), length)
    is_test = random.random(len(rows)) < 0.3
    neighbour = np.r_[False, ~is_test[:-1]] | np.r_[~is_test[1:], False]
    found = [edges({"x": rows[part], "y": rows[part, 0]}) for part in (~is_test, is_test)]
    assert moved(*found) == int((neighbour & is_test).sum())


def test_series_of_vectors_count_too() -> None:
    rows = windows(np.random.default_rng(0).normal(size=(30, 3)), 6)
    assert moved(edges({"x": rows[::2]}), edges({"x": rows[1::2]})) == len(rows[1::2])


@pytest.mark.parametrize("shape", [(40,), (40, 3), (40, 8, 8)])
def test_rows_that_are_no_windows_do_not_count(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(1).normal(size=shape)
    first, second = (edges({"x": values[part]}) for part in (slice(0, 20), slice(20, 40)))
    assert (moved(first, second) if len(first) else 0) == 0


def test_rows_that_do_not_change_are_like_all_of_their_kind() -> None:
    blank = edges({"x": np.zeros((5, 8))})
    assert not blank.any()
    assert moved(blank, blank) == 0
