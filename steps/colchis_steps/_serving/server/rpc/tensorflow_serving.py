"""TensorFlow Serving's services: messages to questions, and outputs to messages."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import ParseDict

from colchis_steps._serving.server.binary import read_binary
from colchis_steps._serving.server.loaded import Registry, Version
from colchis_steps._serving.server.protocol import tensors_of
from colchis_steps._serving.server.refusals import Refused
from colchis_steps._serving.server.rpc import serving_pb2 as pb
from colchis_steps._serving.server.rpc.open_inference import wanted
from colchis_steps._serving.server.rpc.tensors import TENSORFLOW, from_values, to_values
from colchis_steps._tensors.tensor import Arrays, Tensor

DTYPES: dict[str, pb.DataType] = {  # by numpy's name
    "bool": pb.DT_BOOL,
    "float16": pb.DT_HALF,
    "float32": pb.DT_FLOAT,
    "float64": pb.DT_DOUBLE,
    "int16": pb.DT_INT16,
    "int32": pb.DT_INT32,
    "int64": pb.DT_INT64,
    "int8": pb.DT_INT8,
    "string": pb.DT_STRING,
    "uint16": pb.DT_UINT16,
    "uint32": pb.DT_UINT32,
    "uint64": pb.DT_UINT64,
    "uint8": pb.DT_UINT8,
}


Request = pb.PredictRequest


def model(request: pb.PredictRequest) -> str:
    """Return the name of the model that is asked."""
    return str(request.model_spec.name)


def named(request: pb.PredictRequest) -> bool:
    """Return whether the request names the version."""
    return request.model_spec.WhichOneof("version_choice") is not None


def meant(registry: Registry, request: pb.PredictRequest, headers: Mapping[str, str]) -> Version:
    """Return the version that a request means. Raises Refused as ``version_of``."""
    return version_of(registry, request.model_spec, headers)


def version_of(registry: Registry, spec: pb.ModelSpec, headers: Mapping[str, str] | None) -> Version:
    """Return the version that a request means. Raises Refused as ``Registry.find``, and 400 for another signature."""
    if spec.signature_name not in {"", "serving_default"}:
        raise Refused(400, f"signature {spec.signature_name[:64]!r} is not served; leave signature_name out")
    if spec.version_label:
        return registry.labelled(spec.name, spec.version_label)
    return registry.find(spec.name, str(spec.version.value) if spec.HasField("version") else None, headers)


def read(request: pb.PredictRequest, version: Version) -> tuple[Arrays, list[str]]:
    """Return the inputs, and the names of the outputs that are asked for. Raises Refused (400)."""
    inputs, columns = version.saved.inputs, version.columns
    if not columns.needed <= request.inputs.keys() <= inputs.keys():
        got, want = (", ".join(sorted(names))[:256] or "nothing" for names in (request.inputs, columns.own))
        raise Refused(400, f"the request has {got}; send {want}")
    sent = request.inputs
    arrays = {name: _array(inputs[name], sent[name], nan=columns.takes_nan(name)) for name in inputs if name in sent}
    return tensors_of(arrays, columns), wanted(list(request.output_filter), version.saved.outputs)


def write(_: pb.PredictRequest, version: Version, names: list[str], outputs: Arrays) -> Any:
    """Return the answer, in the typed fields that TensorFlow Serving fills."""
    answer = pb.PredictResponse(model_spec=_spec(version))
    for name in names:
        array, dtype = outputs[name], version.saved.outputs[name].dtype
        told = answer.outputs[name]
        told.dtype = DTYPES[dtype]
        told.tensor_shape.dim.extend(pb.TensorShapeProto.Dim(size=length) for length in array.shape)
        getattr(told, TENSORFLOW[dtype]).extend(to_values(array))
    return answer


def metadata(request: pb.GetModelMetadataRequest, version: Version) -> Any:
    """Describe a model's signatures. Raises Refused (400) where something else is asked for."""
    if list(request.metadata_field) != ["signature_def"]:
        raise Refused(400, "the metadata that is here is signature_def; ask for that alone")
    answer = pb.GetModelMetadataResponse(model_spec=_spec(version))
    found = ParseDict(
        {"signature_def": dict(version.saved.signature_def)}, pb.SignatureDefMap(), ignore_unknown_fields=True
    )
    answer.metadata["signature_def"].Pack(found)
    return answer


def status(registry: Registry, spec: pb.ModelSpec) -> Any:
    """Return the state of a model's versions. Raises Refused (404)."""
    number = str(version_of(registry, spec, None).number) if spec.version_label else None
    number = str(spec.version.value) if spec.HasField("version") else number
    answer = pb.GetModelStatusResponse()
    for version, state, error in registry.states(spec.name, number):
        told = pb.StatusProto(error_code=3 if error else 0, error_message=error)
        answer.model_version_status.add(version=version, state=state, status=told)
    return answer


def _array(tensor: Tensor, sent: pb.TensorProto, *, nan: bool) -> Any:
    if sent.dtype != DTYPES[tensor.dtype]:
        want = pb.DataType.Name(DTYPES[tensor.dtype])
        raise Refused(400, f"{tensor.name} has the dtype {int(sent.dtype)}; this model takes {want}")
    shape = [dim.size for dim in sent.tensor_shape.dim]
    if sent.tensor_content and tensor.dtype != "string":
        return read_binary(tensor, shape, sent.tensor_content, nan=nan)
    return from_values(tensor, shape, getattr(sent, TENSORFLOW[tensor.dtype]), repeats=True, nan=nan)


def _spec(version: Version) -> pb.ModelSpec:
    spec = pb.ModelSpec(name=version.model, signature_name="serving_default")
    spec.version.value = version.number
    return spec
