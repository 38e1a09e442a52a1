"""What a dataset function may give: whatever its form, the rows become the same blocks."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colchis_steps._formats.data import Column, Task
from colchis_steps._step.errors import InputError
from colchis_steps._training import rows
from colchis_steps._training.rows import GATHERED, blocks_of, itemised

LABEL = Column("label", "int64", classes=("cat", "dog", "emu"))
TASK = Task("classification", ("label",))
ONE = (Column("x", "float", shape=(2,)), LABEL)
WEIGHED = (*ONE, Column("w", "float"))
TWO = (Column("age", "float"), Column("size", "uint8"), LABEL)
X = np.arange(10, dtype=np.float32).reshape(5, 2)
Y = np.array([0, 1, 2, 1, 0])
AGE, SIZE = np.arange(5, dtype=np.float32) / 2, np.arange(5, dtype=np.uint8)
FRAME = pd.DataFrame({"age": AGE, "size": SIZE, "label": Y})
W = np.array([1.0, 2.0, 0.5, 1.0, 1.0])


def blocks(found: Any, columns: tuple[Column, ...] = ONE) -> list[dict[str, np.ndarray]]:
    items = itemised(lambda: found, "label")()
    return list(blocks_of(items, {c.name: c for c in columns}, TASK, "train", "w" if columns is WEIGHED else ""))


def whole(found: Any, columns: tuple[Column, ...] = ONE) -> dict[str, np.ndarray]:
    made = blocks(found, columns)
    return {name: np.concatenate([block[name] for block in made]) for name in made[0]}


def halves(*arrays: Any) -> Iterator[Any]:
    for half in (slice(0, 3), slice(3, None)):
        parts = tuple(array[half] for array in arrays)
        yield parts if len(parts) > 1 else parts[0]


OF_ONE: dict[str, Any] = {
    "a dict of all": lambda: {"x": X, "label": Y},
    "blocks, yielded": lambda: ({"x": x, "label": y} for x, y in halves(X, Y)),
    "blocks in a list": lambda: [{"x": x, "label": y} for x, y in halves(X, Y)],
    "two blocks in a tuple": lambda: tuple({"x": x, "label": y} for x, y in halves(X, Y)),
    "a pair": lambda: (X, Y),
    "a pair with names": lambda: ({"x": X}, Y),
    "pairs, yielded": lambda: halves(X, Y),
    "pairs in lists": lambda: map(list, halves(X, Y)),
    "rows": lambda: zip(X, Y, strict=True),
    "rows as dicts": lambda: ({"x": x, "label": y} for x, y in zip(X, Y, strict=True)),
    "rows with labels of one value": lambda: zip(X, Y[:, None], strict=True),
    "lists": lambda: {"x": X.tolist(), "label": Y.tolist()},
    "float64, int32": lambda: (X.astype("float64"), Y.astype("int32")),
    "whole numbers": lambda: (X.astype("int16"), Y.astype("float64")),
    "names": lambda: (X, np.array(["cat", "dog", "emu", "dog", "cat"])),
    "bytes": lambda: (X, np.array([b"cat", b"dog", b"emu", b"dog", b"cat"], object)),
    "a frame and a series": lambda: (pd.DataFrame(X, columns=["a", "b"]), pd.Series(Y)),
    "two frames": lambda: (pd.DataFrame(X, columns=["a", "b"]), pd.DataFrame({"label": Y})),
    "a frame with the label": lambda: pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "label": Y}),
    "names of a category": lambda: (X, pd.Series(["cat", "dog", "emu", "dog", "cat"], dtype="category")),
}
OF_TWO: dict[str, Any] = {
    "a frame": lambda: FRAME,
    "frames, yielded": lambda: halves(FRAME),
    "series in a dict": lambda: {"age": FRAME["age"], "size": FRAME["size"], "label": FRAME["label"]},
    "a frame and the label": lambda: (FRAME[["age", "size"]], FRAME["label"]),
    "a frame that has the label, and the label": lambda: (FRAME, FRAME["label"]),
    "nullable numbers": lambda: FRAME.astype({"size": "Int64", "label": "Int64"}),
    "more than is wanted": lambda: FRAME.assign(other="o"),
    "columns of one value": lambda: ({"age": AGE[:, None], "size": SIZE.astype("int64")[:, None]}, Y[:, None]),
    "rows": lambda: ({"age": a, "size": s, "label": y} for a, s, y in zip(AGE, SIZE, Y, strict=True)),
}


def check(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert type(found[name]) is np.ndarray
        assert (found[name].dtype, found[name].tolist()) == (values.dtype, values.tolist()), name


@pytest.mark.parametrize("form", OF_ONE)
def test_rows_of_one_feature_in_any_form(form: str) -> None:
    check(whole(OF_ONE[form]()), {"x": X, "label": Y})


@pytest.mark.parametrize("form", OF_TWO)
def test_rows_of_several_features_in_any_form(form: str) -> None:
    check(whole(OF_TWO[form](), TWO), {"age": AGE, "size": SIZE, "label": Y})


@pytest.mark.parametrize("form", ["whole", "blocks", "rows"])
def test_weights_are_the_third_part(form: str) -> None:
    given_rows = {"whole": (X, Y, W), "blocks": halves(X, Y, W[:, None]), "rows": zip(X, Y, W, strict=True)}[form]
    check(whole(given_rows, WEIGHED), {"x": X, "label": Y, "w": W.astype("float32")})


@given(st.lists(st.integers(1, 5), max_size=8), st.integers(0, 2 * GATHERED))
def test_rows_are_gathered_into_few_blocks_in_their_order(sizes: list[int], single: int) -> None:
    count = sum(sizes) + single
    features = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    labels = np.arange(count) % 3
    starts = np.cumsum([0, *sizes])
    items: list[Any] = [(features[a:b], labels[a:b]) for a, b in itertools.pairwise(starts)]
    items += zip(features[starts[-1] :], labels[starts[-1] :], strict=True)
    made = blocks(items)
    assert len(made) == len(sizes) + -(-single // GATHERED)
    assert [row for block in made for row in block["x"].tolist()] == features.tolist()
    assert [label for block in made for label in block["label"].tolist()] == labels.tolist()


def test_rows_are_gathered_to_a_bound_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "GATHERED_BYTES", 3 * (X[0].nbytes + 8))
    assert [len(block["x"]) for block in blocks(zip(X, Y, strict=True))] == [3, 2]


def test_a_function_is_asked_for_no_more_than_the_next_block() -> None:
    asked: list[int] = []

    def endless() -> Iterator[Any]:
        while True:
            asked.append(1)
            yield X, Y

    found = blocks_of(itemised(endless, "label")(), {c.name: c for c in ONE}, TASK, "train")
    next(found)
    next(found)
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("found", "columns", "sentence"),
    [
        (None, ONE, "the entry's dataset gives nothing; return or yield a dict of columns"),
        (X, ONE, r"gives float32\[5, 2\] alone; give a dict of columns, \(features, labels\)"),
        ("rows.csv", ONE, "gives a str alone"),
        (7, ONE, "gives a int alone"),
        ([X], ONE, r"the entry's dataset for 'train' gives float32\[5, 2\]; give a dict"),
        ([None], ONE, "gives a NoneType; give a dict"),
        ((X, Y), TWO, r"gives features without names, float32\[5, 2\], and the data has the columns age, size;"),
        ((X, Y + 1), ONE, "labels are 1 to 3: number the classes from 0, e.g. subtract 1"),
        ((X, np.eye(3)[Y]), ONE, r"labels of shape \[5, 3\] are one-hot"),
        (zip(X, np.eye(3)[Y], strict=True), ONE, r"labels of shape \[5, 3\] are one-hot"),
        ((X, np.array(["cat"] * 4 + ["cow"])), ONE, "label 'cow' in row 4 is none of the classes cat, dog, emu"),
        ((X, np.array([0, 1, np.nan, 1, 0])), ONE, "the first is NaN in row 2"),
        ((X, Y, np.array([1, 1, np.nan, 1, 1])), WEIGHED, "gives the weight nan in row 2; correct the entry's dataset"),
        ((X, Y, W), ONE, r"gives weights, and the entry names no column for them; return Training\(…, weights="),
        (FRAME.assign(size=[1, 2, 300, 4, 5]), TWO, "gives column 'size' as int64 with 300 in row 2, which uint8 does"),
        (FRAME.assign(size=-SIZE.astype(int)), TWO, "gives column 'size' as int64 with -1 in row 1, which uint8"),
        (FRAME.assign(size=AGE), TWO, "gives column 'size' as float32 with 0.5 in row 1, which uint8 does not hold"),
        (FRAME.assign(age=[1, 2, 2**24 + 1, 4, 5]), TWO, "with 16777217 in row 2, which float32 does not hold"),
        (FRAME.assign(age=["a"] * 5), TWO, None),
        (FRAME.assign(age=[1, None, 2, "b", 3]), TWO, "gives column 'age' as object.*; give numbers or text, without"),
        ({"x": [[1, 2], [3]], "label": [0, 1]}, ONE, "gives column 'x' as no array"),
    ],
)
def test_what_cannot_be_taken_is_named(found: Any, columns: tuple[Column, ...], sentence: str | None) -> None:
    if sentence is None:  # the taker holds dtypes and shapes against the columns
        assert whole(found, columns)["age"].dtype.kind == "U"
        return
    with pytest.raises(InputError, match=sentence):
        blocks(found, columns)


def test_floats_are_rounded_to_the_columns_and_nothing_else_is_looked_at() -> None:
    found = whole((np.array([[0.1, np.nan], [np.inf, 1e300]]), [0, 1]))["x"]
    assert found.dtype == np.float32
    assert repr(found.tolist()) == repr([[float(np.float32(0.1)), np.nan], [np.inf, np.inf]])


SCRIPT = """
import json, sys
import numpy as np
import tensorflow as tf
from colchis_steps._step.errors import InputError
from tests.steps._training.test_rows import AGE, SIZE, TWO, W, WEIGHED, X, Y, blocks, check, whole
data = tf.data.Dataset.from_tensor_slices
pairs, named = data((X, Y)), data({"x": X, "label": Y})
one, two = {"x": X, "label": Y}, {"age": AGE, "size": SIZE, "label": Y}
text = tf.constant(["cat", "dog", "emu", "dog", "cat"])
for given in (
    pairs, pairs.batch(2), named, named.batch(2), data(({"x": X}, Y)).batch(3), data((X, Y[:, None])),
    data((X, Y[:, None])).batch(2), data((X.astype("float64"), Y.astype("int32"))), data((X, text)).batch(4),
    (tf.constant(X), tf.constant(Y)), {"x": tf.constant(X), "label": tf.constant(Y, tf.uint8)}, iter([pairs]),
):
    check(whole(given), one)
check(whole(data((X, Y, W)).batch(2), WEIGHED), one | {"w": W.astype("float32")})
check(whole(data(({"age": AGE, "size": SIZE}, Y)), TWO), two)
check(whole(data(({"age": AGE, "size": SIZE}, Y)).batch(2), TWO), two)
assert len(blocks(pairs)) == 1
said = []
for given in (pairs.repeat(), data(X), data((X, np.eye(3)[Y])).batch(2), tf.constant(X)):
    try:
        blocks(given)
    except InputError as error:
        said.append(str(error))
print(json.dumps(said))
"""


@pytest.mark.tensorflow
def test_data_sets_and_tensors_of_tensorflow() -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    endless, bare, one_hot, tensor = json.loads(done.stdout)
    assert endless == "the entry's dataset gives a tf.data.Dataset without an end; leave out its repeat()"
    assert "gives float32[2]; give a dict of columns" in bare
    assert "labels of shape [2, 3] are one-hot" in one_hot
    assert "gives float32[5, 2] alone" in tensor
