"""What upload tells of a model's operations, without TensorFlow; and that it is what TensorFlow reads."""

import subprocess
import sys
from pathlib import Path

import pytest

from colchis_steps._savedmodel.listing import reaching_operations


@pytest.mark.parametrize(
    ("graph", "told"),
    [
        (b"\x12\x08ReadFile..\x12\x06PyFunc\x12\x06MatMul", ("PyFunc", "ReadFile")),
        (b"\x12\x09RestoreV2\x12\x06SaveV2", ()),
        (b"\x12\x0aReadFileXY.ReadFile\x0a\x08ReadFile", ()),  # part of a name, and names of nodes
        (b"", ()),
    ],
)
def test_operations_that_reach_out_are_listed(graph: bytes, told: tuple[str, ...]) -> None:
    assert reaching_operations(graph) == told


MADE = """
import sys, tensorflow as tf
class Model(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="path")])
    def read(self, path):
        return {"text": tf.map_fn(tf.io.read_file, path)}
model = Model()
model.words = tf.Variable([1.0])
tf.saved_model.save(model, sys.argv[1], signatures=model.read)
"""


@pytest.mark.tensorflow
def test_it_is_what_tensorflow_wrote(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", MADE, str(tmp_path)], capture_output=True, check=True, timeout=280)
    assert reaching_operations((tmp_path / "saved_model.pb").read_bytes()) == ("ReadFile",)
