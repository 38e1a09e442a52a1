"""Asks a server by tensorflow-serving-api's own stubs beside our TensorFlow: Predict, GetModelMetadata, GetModelStatus.

Arguments: the URL, which is not asked, and the address of gRPC. The model m adds the two numbers of a row of x and
repeats its text t.
"""

import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

channel = grpc.insecure_channel(sys.argv[2])  # closed at the end: beside TensorFlow it would hold the process up
stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
request = predict_pb2.PredictRequest()
request.model_spec.name = "m"
request.model_spec.signature_name = "serving_default"
request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array([[1, 2], [3, 4]], np.float32)))
request.inputs["t"].CopyFrom(tf.make_tensor_proto(["a", "ö"]))
found = stub.Predict(request, timeout=30)
assert tf.make_ndarray(found.outputs["y"]).tolist() == [3, 7]
assert [text.decode() for text in tf.make_ndarray(found.outputs["t"]).tolist()] == ["a", "ö"]
assert (found.model_spec.name, found.model_spec.version.value) == ("m", 1)

request.output_filter.append("y")
request.model_spec.version.value = 1
assert list(stub.Predict(request, timeout=30).outputs) == ["y"]
request.model_spec.name = "nobody"
assert stub.Predict.future(request, timeout=30).code() == grpc.StatusCode.NOT_FOUND

asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
asked.model_spec.name = "m"
told = get_model_metadata_pb2.SignatureDefMap()
stub.GetModelMetadata(asked, timeout=30).metadata["signature_def"].Unpack(told)
assert told.signature_def["serving_default"].inputs["x"].dtype == tf.float32.as_datatype_enum

status = get_model_status_pb2.GetModelStatusRequest()
status.model_spec.name = "m"
(version,) = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status, timeout=30).model_version_status
assert (version.version, version.state) == (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
channel.close()
print("answered")
