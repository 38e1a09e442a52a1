"""Holm's adjusted p-values, against the definition."""

from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._evaluation.statistics.multiple import holm

shares = st.lists(st.floats(0, 1), max_size=12)


@given(shares, st.floats(0.001, 0.5))
def test_it_rejects_what_the_step_down_procedure_rejects(values: list[float], error: float) -> None:
    rejected, remaining = set(), sorted(range(len(values)), key=values.__getitem__)
    while remaining and values[remaining[0]] * len(remaining) <= error:
        rejected.add(remaining.pop(0))
    assert {index for index, value in enumerate(holm(values)) if value <= error} == rejected


@given(shares)
def test_it_never_makes_a_value_smaller_and_one_test_stays_as_it_is(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(value <= found <= 1 for value, found in zip(values, adjusted, strict=True))
    assert sorted(adjusted) == [adjusted[index] for index in sorted(range(len(values)), key=values.__getitem__)]
    assert holm(values[:1]) == values[:1]
