"""In what two models differ before a row is asked: data, code, hyper-parameters and what they were trained with."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from colchis_steps._formats.data import RAGGED, Column, DataManifest
from colchis_steps._formats.models import Code
from colchis_steps._origins.gathering import Origin
from colchis_steps._origins.parts import ABSENT
from colchis_steps._tensors.formats import FORMATS_IN_WORDS

IMAGE = "image of "


class Difference(NamedTuple):
    """A property that two have not alike; ABSENT stands for what one of them lacks."""

    name: str
    before: str
    now: str


def of_data(before: DataManifest, now: DataManifest) -> list[Difference]:
    """Return how a data set differs from another: task, columns, classes, and rows by split."""
    found = [
        Difference(name, one, other)
        for name, one, other in (
            ("name", before.name, now.name),
            ("task", before.task.kind, now.task.kind),
            ("target", ", ".join(before.task.target), ", ".join(now.task.target)),
            ("way of division", before.division.way, now.division.way),
        )
        if one != other
    ]
    found += _sets("class", before.task.classes, now.task.classes)
    found += _mappings("column", _columns(before), _columns(now))
    rows = [{name: f"{split.rows:,}" for name, split in data.splits.items()} for data in (before, now)]
    return found + list(_mappings("rows of", *rows))


def _columns(data: DataManifest) -> dict[str, str]:
    return {column.name: described(column) for column in data.columns}


def described(column: Column) -> str:
    """Return a column's type in words: ``float32 3 by any, nullable, label``."""
    shape = " by ".join("any" if size == RAGGED else str(size) for size in column.shape)
    parts = [f"{column.type} {shape}".strip(), column.media, "nullable" if column.nullable else ""]
    return ", ".join(filter(None, [*parts, "" if column.role == "feature" else column.role]))


def _sets(what: str, before: tuple[str, ...], now: tuple[str, ...]) -> list[Difference]:
    gone = [Difference(f"{what} {name}", "there", ABSENT) for name in before if name not in set(now)]
    return gone + [Difference(f"{what} {name}", ABSENT, "there") for name in now if name not in set(before)]


def _mappings(what: str, before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Difference]:
    for name in [*before, *(name for name in now if name not in before)]:
        one, other = before.get(name, ABSENT), now.get(name, ABSENT)
        if one != other:
            yield Difference(f"{what} {name}".strip(), one, other)


def of_code(before: Code, now: Code) -> list[Difference]:
    """Return how two runs' code differs."""
    return list(_mappings("", _told(before), _told(now)))


def _told(code: Code) -> dict[str, str]:
    found = {
        "entry": code.entry,
        "repository": code.repository,
        "revision": code.revision,
        "digest": code.digest,
    }
    return {name: value for name, value in found.items() if value}


def of_parameters(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Return which hyper-parameters differ, as JSON."""
    one, other = ({name: _json(value) for name, value in sorted(given.items())} for given in (before, now))
    return list(_mappings("", one, other))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def of_environment(before: Origin, now: Origin) -> list[Difference]:
    """Return how frameworks, format and the way of training differ."""
    found = list(_mappings("", environment(before), environment(now)))
    if before.record and now.record:
        return found
    return [one for one in found if not one.name.startswith(IMAGE)]  # which only a record has


def environment(found: Origin) -> dict[str, str]:
    """Return what a model was trained with."""
    told = {"format": FORMATS_IN_WORDS.get(found.format, found.format)} | found.about.frameworks
    if found.training:
        told |= {"back-end": found.training.backend, "workers": str(found.training.workers)}
        told |= {"global batch": str(found.training.global_batch)}
    images = found.record.step_images if found.record else {}
    return told | {f"{IMAGE}{step}": name for step, name in images.items()}


def differences(before: Origin, now: Origin) -> dict[str, list[Difference]]:
    """Return in what two differ, by data, code, hyper-parameters and environment; data only where both can be read."""
    data = [Difference("digest", before.about.data_digest or ABSENT, now.about.data_digest or ABSENT)]
    found = [one for one in data if one.before != one.now]
    if found and before.data and now.data:
        found += of_data(before.data, now.data)
    return {
        "data": found,
        "code": of_code(before.about.code, now.about.code),
        "hyper-parameters": of_parameters(before.about.hyperparameters, now.about.hyperparameters),
        "environment": of_environment(before, now),
    }
