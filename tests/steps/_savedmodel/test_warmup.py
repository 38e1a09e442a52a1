"""The warm-up file of TensorFlow Serving: read back by TensorFlow's own reader and the published field numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
READ = """
import json, sys
from pathlib import Path
import tensorflow as tf
from tests.steps.serving_protos import message
from colchis_steps._savedmodel.warmup import FILE, write_warmup
top = Path(sys.argv[1])
specs = {"image": tf.TensorSpec([None, 20, 30], tf.uint8), "text": tf.TensorSpec([None], tf.string)}
write_warmup(top, specs)
first = (top / FILE).read_bytes()
write_warmup(top, specs)
(record,) = tf.data.TFRecordDataset(str(top / FILE)).as_numpy_iterator()
log = message("PredictionLog")
log.ParseFromString(record)
request = log.predict_log.request
arrays = {}
for entry in request.inputs:
    proto = tf.make_tensor_proto(0)
    proto.ParseFromString(entry.value)
    arrays[entry.key] = tf.make_ndarray(proto)
print(json.dumps({
    "signature": request.model_spec.signature_name,
    "shapes": {name: array.shape for name, array in arrays.items()},
    "types": {name: array.dtype.name for name, array in arrays.items()},
    "zero": int(arrays["image"].sum()),
    "again": first == (top / FILE).read_bytes(),
}))
"""


@pytest.mark.tensorflow
def test_the_file_holds_one_row_of_zeros_for_the_served_signature(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "signature": "serving_default",
        "shapes": {"image": [1, 20, 30], "text": [1]},
        "types": {"image": "uint8", "text": "object"},
        "zero": 0,
        "again": True,
    }
