"""Equal rows are found exactly, in memory or on disk."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._data.validating import spilling
from colchis_steps._data.validating.spilling import Spill

ROWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), max_size=30)


@pytest.mark.parametrize("pending", [1, 1 << 16], ids=["disk", "memory"])
@given(splits=st.tuples(ROWS, ROWS, ROWS))
def test_what_is_found_is_what_a_plain_count_finds(pending: int, splits: tuple[list[tuple[int, int]], ...]) -> None:
    with pytest.MonkeyPatch.context() as patch, Spill() as spill:
        patch.setattr(spilling, "PENDING", pending)
        for number, rows in enumerate(splits):
            for first in range(0, len(rows), 7):
                hashes = np.array([value for value, _ in rows[first : first + 7]], np.uint64) << np.uint64(60)
                spill.add(number, first, hashes, np.array([label for _, label in rows[first : first + 7]], np.uint64))
        found = spill.alike(3)
    labels: dict[int, set[int]] = {}
    for value, label in (row for rows in splits for row in rows):
        labels.setdefault(value, set()).add(label)
    for number, rows in enumerate(splits):
        values = Counter(value for value, _ in rows)
        assert found.duplicates[number] == len(rows) - len(values)
        noisy = [row for row, (value, _) in enumerate(rows) if len(labels[value]) > 1]
        assert found.contradictions.get(number, (0, 0)) == ((len(noisy), noisy[0]) if noisy else (0, 0))
        for first in range(number):
            known = {value for value, _ in splits[first]}
            shared = [row for row, (value, _) in enumerate(rows) if value in known]
            assert found.shared.get((first, number), (0, 0)) == ((len(shared), shared[0]) if shared else (0, 0))
    assert found.repeated == sum(map(len, splits)) - len(labels)
