"""The few messages of TensorFlow Serving that its configuration files hold, as its .proto files describe them.

They are made here because the package that ships them, tensorflow-serving-api, brings a second TensorFlow.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = descriptor_pb2.FieldDescriptorProto
SCALARS = {"string": Field.TYPE_STRING, "int64": Field.TYPE_INT64, "bool": Field.TYPE_BOOL, "bytes": Field.TYPE_BYTES}
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {  # field: number and type; [] is repeated
    "Int64Value": {"value": (1, "int64")},
    "BoolValue": {"value": (1, "bool")},
    "Specific": {"versions": (1, "int64[]")},
    "ServableVersionPolicy": {"specific": (102, "Specific")},
    "LabelsEntry": {"key": (1, "string"), "value": (2, "int64")},
    "ModelConfig": {
        "name": (1, "string"),
        "base_path": (2, "string"),
        "model_platform": (4, "string"),
        "model_version_policy": (7, "ServableVersionPolicy"),
        "version_labels": (8, "LabelsEntry[]"),
    },
    "ModelConfigList": {"config": (1, "ModelConfig[]")},
    "ModelServerConfig": {"model_config_list": (1, "ModelConfigList")},
    "BatchingParameters": {
        "max_batch_size": (1, "Int64Value"),
        "batch_timeout_micros": (2, "Int64Value"),
        "max_enqueued_batches": (3, "Int64Value"),
        "num_batch_threads": (4, "Int64Value"),
    },
    "ModelSpec": {"name": (1, "string"), "signature_name": (3, "string")},
    "InputsEntry": {"key": (1, "string"), "value": (2, "bytes")},  # a TensorProto, as it is encoded
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "InputsEntry[]")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, "PrometheusConfig")},
}


def message(name: str) -> Any:
    """Return a new message of this name."""
    file = descriptor_pb2.FileDescriptorProto(name="serving.proto", package="serving", syntax="proto3")
    for kind, fields in MESSAGES.items():
        described = file.message_type.add(name=kind)
        for field, (number, text) in fields.items():
            base, label = text.removesuffix("[]"), Field.LABEL_REPEATED if text.endswith("[]") else Field.LABEL_OPTIONAL
            made = described.field.add(name=field, number=number, label=label)
            made.type = SCALARS.get(base, Field.TYPE_MESSAGE)
            if base not in SCALARS:
                made.type_name = f".serving.{base}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"serving.{name}"))()
