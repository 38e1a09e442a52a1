"""What a server says of a model beyond its signature, by the data set that it was trained on."""

from typing import NamedTuple

from colchis_steps._formats.data import RAGGED, Column, DataManifest
from colchis_steps._formats.models import Bounds


class Facts(NamedTuple):
    """What a server says of a model beyond its signature: see ``Manifest``."""

    inputs: dict[str, Bounds]
    classes: tuple[str, ...]
    task: str
    columns: tuple[Column, ...]
    targets: tuple[str, ...] = ()


def served_facts(found: DataManifest) -> Facts:
    """Return each feature's bounds, where they are known, names of classes, the task, columns to read, and targets.

    The columns are those that clients write otherwise than a model takes them: with nulls, of any length, or as dates.
    """
    features = found.of_role("feature")
    bounds = {
        column.name: Bounds(column.minimum, column.maximum)
        for column in features
        if column.minimum is not None and column.maximum is not None and not column.is_time
    }
    read = [c for c in features if c.nullable or RAGGED in c.shape or c.is_time or c.media]
    targets = found.task.target if found.task.kind == "regression" else ()
    return Facts(bounds, found.task.classes, found.task.kind, tuple(read), targets)
