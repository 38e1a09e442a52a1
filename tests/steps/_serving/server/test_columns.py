"""Columns as clients write them: nulls, lists of any length, dates; and what is refused."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from colchis_steps._serving.config import Written
from colchis_steps._serving.server.binary import read_binary
from colchis_steps._serving.server.columns import MOST, Columns
from colchis_steps._serving.server.protocol import read_v1, read_v2
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._tensors.tensor import Tensor


def columns(**given: tuple[str, tuple[int | None, ...], Written]) -> Columns:
    """Make the columns, with the inputs that a training would have beside them."""
    inputs = {}
    for name, (dtype, shape, written) in given.items():
        inputs[name] = Tensor(name, dtype, (None, *shape))
        if written.nullable and not dtype.startswith("float"):
            inputs[f"{name}__valid"] = Tensor(f"{name}__valid", "bool", (None,))
        if written.ragged:
            inputs[f"{name}__mask"] = Tensor(f"{name}__mask", "bool", (None, *shape[:1]))
    return Columns(inputs, {name: written for name, (_, _, written) in given.items()})


ALL = columns(
    size=("float32", (), Written("float", nullable=True)),
    age=("int64", (), Written("int64", nullable=True)),
    job=("string", (), Written("string", nullable=True)),
    codes=("int64", (3,), Written("int64", ragged=True)),
    words=("string", (2,), Written("string", nullable=True, ragged=True)),
    day=("int64", (), Written("date32[day]")),
    at=("int64", (), Written("timestamp[ms, tz=UTC]", nullable=True)),
)
ROW = {"size": 1.5, "age": 3, "job": "poet", "codes": [7, 8], "words": ["a"], "day": "1970-01-03", "at": 1000}


def v1(body: Any, known: Columns = ALL) -> dict[str, Any]:
    return {name: found.tolist() for name, found in read_v1(msgspec.json.encode(body), known).arrays.items()}


def test_a_row_is_completed() -> None:
    found = v1({"instances": [ROW, {"codes": [], "words": None, "day": 5, "at": "1970-01-01T00:00:02+00:00"}]})
    assert math.isnan(found.pop("size")[1])
    assert found == {
        "age": [3, 0],
        "age__valid": [True, False],
        "job": [b"poet", b""],
        "job__valid": [True, False],
        "codes": [[7, 8, 0], [0, 0, 0]],
        "codes__mask": [[True, True, False], [False, False, False]],
        "words": [[b"a", b""], [b"", b""]],
        "words__mask": [[True, False], [False, False]],
        "words__valid": [True, False],
        "day": [2, 5],
        "at": [1000, 2000],
        "at__valid": [True, True],
    }


def test_columns_are_as_rows_and_what_is_sent_counts() -> None:
    by_column = {name: [value] for name, value in ROW.items()}
    assert v1({"inputs": by_column}) == v1({"instances": [ROW]})
    sent = v1({"instances": [ROW | {"age__valid": False}]})
    assert (sent["age"], sent["age__valid"]) == ([3], [False])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"codes": None}, "codes holds null, and the model was trained without nulls there"),
        ({"codes": [1, None]}, "codes holds null"),
        ({"codes": [1, 2, 3, 4]}, "codes has a list of 4 values, and the model takes at most 3"),
        ({"codes": 5}, "codes is 5; send a list of at most 3 values"),
        ({"codes": ["a"]}, 'codes holds "a"'),
        ({"day": None}, "day holds null"),
        ({"day": "tomorrow"}, "day holds 'tomorrow', which is no date32; send ISO 8601, or a number"),
        ({"day": "0000-00-00"}, "which is no date32"),
        ({"age": 1.5}, "age holds 1.5"),
        ({"size": "big"}, 'size holds "big"'),
        ({"other": 1}, "holds age, at, codes, day, job, other, size, words; send an object with age, at, codes"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        v1({"instances": [ROW | change]})
    assert refused.value.status == 400
    assert sentence in str(refused.value)


def test_a_row_that_lacks_columns_is_told_which() -> None:
    with pytest.raises(Refused, match=r"instances\[0\] lacks codes, day; send an object with age, at, codes, day, job"):
        v1({"instances": [{"age": 1}]})


def test_companions_are_in_all_rows_or_in_none() -> None:
    with pytest.raises(Refused, match="age__valid is there in some rows"):
        v1({"instances": [ROW, ROW | {"age__valid": True}]})
    with pytest.raises(Refused, match="the columns have 1 to 2 rows"):
        v1({"inputs": {name: [value] for name, value in ROW.items()} | {"day": [1, 2]}})


def test_short_rows_do_not_become_much_memory() -> None:
    wide = columns(codes=("int64", (MOST // 8,), Written("int64", ragged=True)))
    with pytest.raises(Refused) as refused:
        v1({"instances": [[]] * 9}, wide)
    assert refused.value.status == 413
    many = columns(**{f"c{i}": ("float32", (), Written("float", nullable=True)) for i in range(300)})
    with pytest.raises(Refused, match="too many"):
        v1({"instances": [{}] * (MOST // 300 + 1)}, many)


def test_a_lone_column_comes_bare() -> None:
    alone = columns(codes=("int64", (2,), Written("int64", ragged=True)))
    assert v1({"instances": [[1], []]}, alone) == {
        "codes": [[1, 0], [0, 0]],
        "codes__mask": [[True, False], [False, False]],
    }


def v2(*tensors: dict[str, Any], known: Columns = ALL) -> dict[str, Any]:
    question = read_v2(msgspec.json.encode({"inputs": tensors}), known, {"y": Tensor("y", "float32", (None,))})
    return {name: found.tolist() for name, found in question.arrays.items()}


def test_v2_takes_nulls_and_lists_in_its_tensors() -> None:
    known = columns(
        size=("float32", (), Written("float", nullable=True)), codes=("int64", (3,), Written("int64", ragged=True))
    )
    size = {"name": "size", "datatype": "FP32", "shape": [2], "data": [1.0, None]}
    codes = {"name": "codes", "datatype": "INT64", "shape": [2, 2], "data": [[1, 2], [3, 4]]}
    found = v2(size, codes, known=known)
    assert math.isnan(found["size"][1])
    assert found["codes__mask"] == [[True, True, False]] * 2
    assert v2(codes, known=known)["codes"] == [[1, 2, 0], [3, 4, 0]]
    with pytest.raises(Refused, match="input codes is missing"):
        v2(size, known=known)
    with pytest.raises(Refused, match="codes has 3 values, but its shape"):
        v2({**codes, "data": [1, 2, 3]}, known=known)


def test_nan_in_bytes_is_a_null_only_where_there_may_be_one() -> None:
    tensor, content = Tensor("x", "float32", (None,)), np.array([np.nan], "<f4").tobytes()
    assert np.isnan(read_binary(tensor, [1], content, nan=True)[0])
    with pytest.raises(Refused, match="holds NaN or infinity"):
        read_binary(tensor, [1], content)
    with pytest.raises(Refused, match="holds NaN or infinity"):
        read_binary(tensor, [1], np.array([np.inf], "<f4").tobytes(), nan=True)
