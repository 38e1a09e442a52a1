"""The requests that TensorFlow Serving answers to itself before a version is ready, beside the exported model.

Writes  <model>/assets.extra/tf_serving_warmup_requests  TFRecord of PredictionLog messages

The messages are written field by field: the package that ships them, tensorflow-serving-api, brings a second
TensorFlow. Numbers are those of tensorflow_serving/apis/{prediction_log,predict,model}.proto; for the file see
https://www.tensorflow.org/tfx/serving/saved_model_warmup.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "assets.extra/tf_serving_warmup_requests"


PREDICT_LOG, REQUEST, MODEL_SPEC, INPUTS = 6, 1, 1, 2


SIGNATURE_NAME, KEY, VALUE = 3, 1, 2


def field(number: int, content: bytes) -> bytes:
    """Encode a field that has a length: text, bytes or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """Encode a whole number, seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def prediction_log(tensors: Mapping[str, bytes], signature: str = "serving_default") -> bytes:
    """Encode a PredictionLog of one request; ``tensors`` are encoded TensorProtos by input."""
    request = field(MODEL_SPEC, field(SIGNATURE_NAME, signature.encode()))
    for name, tensor in sorted(tensors.items()):
        request += field(INPUTS, field(KEY, name.encode()) + field(VALUE, tensor))
    return field(PREDICT_LOG, field(REQUEST, request))


def write_warmup(directory: Path, specs: Mapping[str, Any]) -> None:
    """Write one request: a row of zeros, or of empty text, for the inputs that are described by ``tf.TensorSpec``."""
    import tensorflow as tf

    tensors: dict[str, bytes] = {}
    for name, spec in specs.items():
        shape = [1 if length is None else length for length in spec.shape]
        row = tf.fill(shape, "") if spec.dtype == tf.string else tf.zeros(shape, spec.dtype)
        tensors[name] = tf.make_tensor_proto(row.numpy()).SerializeToString(deterministic=True)
    path = directory / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as records:
        records.write(prediction_log(tensors))
