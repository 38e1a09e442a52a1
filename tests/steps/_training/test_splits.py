"""How a value of all rows is made of its parts': means, sums, and what is neither."""

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._training.splits import ROWS, Tried, add_up, are_means, are_sums, halved

VALUES = st.lists(st.floats(0.1, 9), min_size=4, max_size=ROWS)
SLACK = 1e-6
Loss = Callable[[np.ndarray], float]


def found(values: list[float], loss: Loss) -> tuple[Tried, list[tuple[Tried, Tried]], list[tuple[float, float]]]:
    rows = np.array(values)

    def attempt(part: slice) -> Tried:
        chosen = rows[part]
        return Tried(len(chosen), loss(chosen), (), (np.array([chosen.sum(), len(chosen)]), np.array(chosen.max())))

    halves = halved(attempt, len(rows))
    return attempt(slice(len(rows))), halves, [(one.loss, other.loss) for one, other in halves]


@given(VALUES)
def test_each_half_has_rows_and_both_have_all(values: list[float]) -> None:
    _, halves, _ = found(values, lambda rows: float(rows.sum()))
    assert all(one.rows and other.rows and one.rows + other.rows == len(values) for one, other in halves)


@given(VALUES)
def test_a_mean_is_a_mean_and_a_sum_a_sum(values: list[float]) -> None:
    both, halves, parts = found(values, lambda rows: float(rows.mean()))
    assert are_means(halves, parts, both.loss, SLACK)
    assert not are_sums(parts, both.loss, SLACK)
    both, halves, parts = found(values, lambda rows: float(rows.sum()))
    assert are_sums(parts, both.loss, SLACK)
    assert not are_means(halves, parts, both.loss, SLACK)


@given(st.integers(0, ROWS - 1), st.integers(4, ROWS))
def test_a_mean_over_a_mask_is_none_of_both_wherever_the_one_row_lies(at: int, count: int) -> None:
    """With one valid row the loss of one half is 0, and that of the other is the whole."""
    mask = np.zeros(count)
    mask[at % count] = 1.0
    both, halves, parts = found(list(mask), lambda rows: float(rows.sum() / max(rows.sum(), 1)) * 3)
    assert not are_sums(parts, both.loss, SLACK)
    assert not are_means(halves, parts, both.loss, SLACK)


@given(VALUES)
def test_states_that_are_counts_add_up_and_a_maximum_does_not(values: list[float]) -> None:
    both, halves, _ = found(values, lambda rows: float(rows.sum()))
    assert not add_up(both, halves, SLACK)
    counts = [tuple(Tried(t.rows, t.loss, (), t.state[:1]) for t in half) for half in halves]
    assert add_up(Tried(both.rows, both.loss, (), both.state[:1]), counts, SLACK)  # type: ignore[arg-type]  # pairs
