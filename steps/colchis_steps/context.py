"""What an entry gets: the public face of Colchis to the user's training code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from colchis_steps._formats import Column


@dataclass(frozen=True)
class Context:
    """Everything from which ``entry(context)`` builds a compiled ``keras.Model``.

    The model's inputs are the raw feature columns (``context.columns[name]`` says dtype, shape of one row, minimum and
    maximum), so preprocessing belongs into the model; its output is class probabilities, float32
    [rows, len(context.classes)].
    """

    hyperparameters: Mapping[str, Any]
    columns: Mapping[str, Column]
    label: str
    classes: tuple[str, ...]
    seed: int
