"""Hyper-parameters as a dataclass of the user's: types are held, and a misspelt name is not a silent default."""

from dataclasses import dataclass
from typing import Literal

import pytest

from colchis_steps._formats.hyperparameters import settings
from colchis_steps._step.errors import InputError
from colchis_steps.context import Context


@dataclass
class Knobs:
    units: int
    rate: float = 0.01
    kind: Literal["plain", "deep"] = "plain"
    layers: tuple[int, ...] = (8,)


def context(text: str) -> Context:
    return Context(settings(text).all, {}, "label", ("a", "b"), 0)


def test_they_come_with_their_types_and_defaults() -> None:
    found = context('{"epochs": 3, "precision": "float32", "units": 16, "rate": 1, "layers": [4, 2]}').typed(Knobs)
    assert found == Knobs(units=16, rate=1.0, layers=(4, 2))
    assert isinstance(found.rate, float)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"units": "16"}', r"not as Knobs wants them: Expected `int`, got `str` - at `\$.units`; correct them"),
        ("{}", "missing required field `units`"),
        ('{"units": 1, "kind": "wide"}', r"Invalid enum value 'wide' - at `\$.kind`"),
        (
            '{"units": 1, "unts": 2}',
            "hyper-parameter 'unts' is none of accumulate, checkpoint_seconds, class_weight, epochs, ",
        ),
    ],
    ids=["another type", "missing", "none of them", "misspelt"],
)
def test_what_does_not_fit_is_a_sentence(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        context(text).typed(Knobs)
