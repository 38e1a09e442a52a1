"""How many rows each class has, whatever form the labels are of."""

from collections.abc import Mapping
from typing import Any

from colchis_steps._data.targets import class_name
from colchis_steps._data.validating.looking import Look
from colchis_steps._formats.data import RAGGED, Column, Task


def no_rows(task: Task) -> dict[str, int] | None:
    """Return what counting begins with: no row of any class; None where the task has no classes."""
    return dict.fromkeys(task.classes, 0) if task.classes and task.kind in {"classification", "multilabel"} else None


def add_classes(task: Task, columns: Mapping[str, Column], looks: Mapping[str, Look], into: dict[str, int]) -> None:
    """Add the labels of a batch; a value that is no class is added under its own name."""
    if not looks.keys() >= set(task.target):
        return
    if task.kind == "multilabel" and RAGGED not in columns[task.target[0]].shape:
        for name, count in zip(task.classes, _ones(task, looks), strict=False):
            into[name] += count
        return
    for value, count in _values(looks[task.target[0]]):
        name = class_name(value)
        if (numbered := columns[task.target[0]].classes) is not None:
            if not 0 <= value < len(numbered):
                continue
            name = numbered[int(value)]
        into[name] = into.get(name, 0) + count


def _ones(task: Task, looks: Mapping[str, Look]) -> list[int]:
    import numpy as np

    first = looks[task.target[0]]
    if len(task.target) == 1 and first.numbers is not None:
        return [int(count) for count in np.count_nonzero(first.numbers.reshape(-1, len(task.classes)), axis=0)]
    return [0 if (numbers := looks[name].numbers) is None else int(np.count_nonzero(numbers)) for name in task.target]


def _values(seen: Look) -> list[tuple[Any, int]]:
    import pyarrow.compute as pc

    if seen.texts is not None:
        found = zip(seen.texts.words.to_pylist(), seen.texts.counts.tolist(), strict=True)
    else:
        counted = pc.value_counts(seen.leaf)
        found = zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)
    return [(value, count) for value, count in found if value is not None and count]
