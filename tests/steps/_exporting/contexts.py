"""Contexts by hand, for exports: columns of these types, and the same rows in every split."""

from typing import Any

import numpy as np

from colchis_steps._formats.data import Column, Task
from colchis_steps.context import Context


def context(rows: dict[str, Any], *, task: str = "classification", classes: tuple[str, ...] = ()) -> Context:
    """Return a context of these rows; the column ``label`` is no feature."""
    columns = {}
    for name, values in rows.items():
        kind = (
            "string" if values.dtype.kind == "O" else {"float32": "float", "float64": "double"}.get(str(values.dtype))
        )
        columns[name] = Column(name, kind or str(values.dtype), values.shape[1:])
    label = columns.pop("label", None)
    return Context(
        {},
        columns,
        "label",
        classes,
        0,
        blocks=lambda split, epoch: [rows],
        task=Task(task, ("label",) if label else ()),
    )


def thirds(count: int = 60) -> dict[str, Any]:
    """Return rows with text, a picture, numbers of several types, and one of three classes."""
    random = np.random.default_rng(0)
    label = random.integers(0, 3, count)
    return {
        "town": np.array([("Phasis", "Aea", "Dioscurias")[i] for i in label], object),
        "age": (label * 10 + random.normal(size=count)).astype("float64"),
        "rooms": random.integers(0, 9, count).astype("int64"),
        "picture": random.integers(0, 17, (count, 2, 3)).astype("uint8"),
        "label": label.astype("int64"),
    }
