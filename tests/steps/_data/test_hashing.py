"""Hashes of rows: of the values alone, however they are cut, and the same for ever."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from colchis_steps._data.hashing import row_hashes

ROW = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "f": st.none() | st.floats(),
        "s": st.none() | st.text(max_size=12) | st.text("ab", min_size=510, max_size=515),
        "b": st.none() | st.binary(max_size=12),
        "t": st.none() | st.booleans(),
        "l": st.none() | st.lists(st.integers(-9, 9), max_size=4),
        "v": st.lists(st.floats(width=32), min_size=2, max_size=2),
    }
)
SCHEMA = pa.schema(
    {
        "i": pa.int64(),
        "f": pa.float64(),
        "s": pa.string(),
        "b": pa.binary(),
        "t": pa.bool_(),
        "l": pa.list_(pa.int64()),
        "v": pa.list_(pa.float32(), 2),
    }
)


def hashes(table: pa.Table) -> list[int]:
    found: list[int] = row_hashes(table, SCHEMA.names).tolist()
    return found


@settings(deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30), st.randoms(), st.integers(1, 7), st.data())
def test_a_hash_is_of_the_row_alone(rows: list[dict[str, Any]], random: Any, chunk: int, data: st.DataObject) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    wanted = hashes(table)
    chunks = pa.Table.from_batches(table.to_batches(chunk), SCHEMA)
    assert hashes(chunks) == wanted
    start = data.draw(st.integers(0, len(rows) - 1))
    assert hashes(table.slice(start)) == wanted[start:]
    order = list(range(len(rows)))
    random.shuffle(order)
    assert hashes(table.take(pa.array(order))) == [wanted[i] for i in order]
    assert row_hashes(table, SCHEMA.names[::-1]).tolist() == wanted


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([{"s": "a"}, {"s": "b"}, {"s": None}, {"s": ""}, {"s": "ab"}]), min_size=2, max_size=30)
)
def test_equal_rows_and_they_alone_have_equal_hashes(rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, pa.schema({"s": pa.string()}))
    found = row_hashes(table, ["s"]).tolist()
    assert [[one == other for other in rows] for one in rows] == [[a == b for b in found] for a in found]


def test_a_dictionary_hashes_as_its_values() -> None:
    plain = pa.table({"s": ["a", None, "b", "a"]})
    coded = pa.table({"s": plain["s"].dictionary_encode()})
    assert row_hashes(plain, ["s"]).tolist() == row_hashes(coded, ["s"]).tolist()


def test_hashes_stay_what_they_are() -> None:
    table = pa.table({"x": [0.0, -0.0, 1.5], "s": ["", "Kolchis", "a" * 600], "i": np.array([1, 2, 3], np.uint8)})
    known = [11503973793090977371, 5819562908629289075, 10516641223695484332]
    assert row_hashes(table, ["x", "s", "i"]).tolist() == known
