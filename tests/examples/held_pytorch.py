"""What from_torch exports and what it refuses, run in the example's environment."""

import functools
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.examples.exports import refusal
from tests.steps._exporting.contexts import context, thirds

from colchis_steps._onnx.loading import OnnxModel
from colchis_steps.export import from_torch

ROWS = thirds(20)
CLASSES = ("a", "b", "c")
NAMES = ("age", "rooms", "picture", "label")
NUMBERS = context({name: ROWS[name] for name in NAMES}, classes=CLASSES)


class Function(nn.Module):
    """A module of a function, and a parameter."""

    def __init__(self, forward):
        super().__init__()
        self.forward = forward
        self.layer = nn.Linear(2, 2)


class Named(nn.Module):
    """Takes two columns by their names; gives logits, and another output."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(7, 3), nn.Dropout(0.9))

    def forward(self, picture, age):
        both = torch.cat([picture.flatten(1).float(), age.float()[:, None]], 1)
        return {"seen": both.sum(1), "logits": self.layer(both)}


def exported(model, given=NUMBERS, **how):
    with tempfile.TemporaryDirectory() as directory:
        from_torch(model, directory, given, **how)
        content = (Path(directory) / "model.onnx").read_bytes()
        assert b"/home" not in content
        assert str(Path(__file__)).encode() not in content
        return OnnxModel(Path(directory))


refused = functools.partial(refusal, exported)


def test_columns_by_name():
    model = Named().train()
    found = exported(model, logits=True)
    assert model.training
    assert {name: one.dtype for name, one in found.inputs.items()} == {"picture": "uint8", "age": "float64"}
    assert found.outputs.keys() == {"class", "probability", "seen"}


def test_a_matrix_of_all():
    exported(nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1)))
    two = context({**{n: ROWS[n] for n in NAMES}, "label": ROWS["label"] % 2}, classes=("no", "yes"))
    assert exported(nn.Linear(8, 1), two, logits=True).outputs["probability"].shape == (None, 2)
    numbers = context({"age": ROWS["age"], "label": ROWS["age"] * 2}, task="regression")
    assert exported(nn.Sequential(nn.Linear(1, 1), nn.Flatten(0)), numbers).outputs["value"].shape == (None, 1)
    hot = (np.arange(40).reshape(20, 2) % 3 == 0).astype("uint8")
    several = context({"age": ROWS["age"], "label": hot}, task="multilabel", classes=("a", "b"))
    assert exported(nn.Linear(1, 2), several, logits=True).outputs["probability"].shape == (None, 2)
    own = context({"age": ROWS["age"]}, task="none")
    assert exported(nn.Linear(1, 5), own).outputs["output"].shape == (None, 5)


def test_refusals():
    assert "not probabilities; if they are logits, give logits=True" in refused(nn.Linear(8, 3))
    assert "forward gives output [20, 4] for 20 rows instead of [20, 3]" in refused(nn.Linear(8, 4), logits=True)
    assert "forward takes 'years', and" in refused(Function(lambda years, age: years + age))
    assert "the column 'town' is str, which PyTorch has no tensors of" in refused(nn.Linear(8, 3), context(ROWS))
    assert "forward gives a tuple" in refused(Function(lambda age, rooms: (age, rooms)))
    said = refused(Function(lambda x: (x[:, :3] if len(x) == 3 else x[:, :3] * 2).softmax(1)))
    assert "cannot become ONNX" in said or "differs" in said, said


if __name__ == "__main__":
    for name, case in list(globals().items()):
        if name.startswith("test_"):
            case()
    print("held")
