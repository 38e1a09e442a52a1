"""Event files for TensorBoard: every number of an epoch is in them, those that JSON lacks too."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.tensorflow
SCRIPT = """
import json, math, sys
from pathlib import Path
import tensorflow as tf
from colchis_steps._formats.runs import Epoch
from colchis_steps._store.opening import open_store
from colchis_steps._training.board import Board

top = Path(sys.argv[1])
board = Board(open_store((top / "store").as_uri()), "r", top / "work")
board.write(Epoch(1, {"loss": math.nan, "peak": math.inf}, {"loss": -math.inf, "huge": 1e300, "low": 0.5}, 1.0))
board.wait()
for path in sorted((top / "store/runs/r/training/tensorboard").rglob("events.*")):
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        for value in tf.compat.v1.Event.FromString(record).summary.value:
            print(json.dumps([path.parent.name, value.tag, str(tf.make_ndarray(value.tensor))]))
"""


def test_numbers_that_are_not_finite_are_written_as_they_are(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found = {(part, tag): value for part, tag, value in map(json.loads, done.stdout.splitlines())}
    assert found["train", "loss"] == "nan"
    assert found["train", "peak"] == "inf"
    assert found["eval", "loss"] == "-inf"
    assert found["eval", "huge"] == "inf"
    assert found["eval", "low"] == "0.5"
