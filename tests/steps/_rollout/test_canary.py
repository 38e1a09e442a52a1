"""The shares of a canary: a taste before the first that users get."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._rollout.canary import SIP, TASTE, Plan, least, shares


@pytest.mark.parametrize(
    ("steps", "taken"),
    [
        ((10, 30), (2, 10, 30)),
        ((0, 10), (0, 2, 10)),  # a shadow comes first
        ((1, 10), (1, 10)),
        ((2, 10), (2, 10)),
        ((50,), (2, 50)),
        ((0,), (0,)),  # nobody gets it before it is approved
        ((), ()),
    ],
)
def test_a_first_share_that_is_greater_has_a_taste_before_it(steps: tuple[int, ...], taken: tuple[int, ...]) -> None:
    assert shares(steps) == taken


@given(st.lists(st.integers(0, 99), unique=True).map(sorted))
def test_shares_rise_and_no_step_is_left_out(steps: list[int]) -> None:
    taken = shares(steps)
    assert list(taken) == sorted({*taken})
    assert set(taken) - {*steps} <= {TASTE}
    assert next((weight for weight in taken if weight), 0) <= TASTE


def test_a_taste_is_short_and_a_step_as_long_as_is_asked() -> None:
    assert [least(Plan(steps=(10, 30), seconds=30), weight) for weight in (2, 10, 30)] == [SIP, 30, 30]
    assert [least(Plan(steps=(10, 30), seconds=1), weight) for weight in (2, 10)] == [1, 1]
    assert least(Plan(steps=(2, 30), seconds=30), 2) == 30
